package api

import (
	"fmt"
	"strings"
)

// Trouble is something about the banks that people should know, and what to do.
type Trouble struct {
	Bank string `json:"bank,omitempty"` // symbol of the asset; empty: all of them
	Bad  bool   `json:"bad"`            // nothing is credited, paid or moved until it is mended
	Text string `json:"text"`
}

// text says in words what the reason is.
func (h *HaltReason) text() string {
	why := map[string]string{
		"reorganisation": "blocks were replaced in which something was credited or settled",
		"theft":          "a coin was spent by a transaction that the banks do not know",
		"vote":           "the members voted so",
		"books":          "the ledger has other sums than the bank",
	}[h.Reason]
	if why == "" {
		why = h.Reason
	}
	if h.Bank != 0 {
		why += fmt.Sprintf(" (bank %d, block %d of its chain)", h.Bank, h.Height)
	}
	return why
}

// HaltWhy says why the banks are halted: the first reason, and the last one.
func HaltWhy(h *Halt) string {
	why := (&HaltReason{h.Reason, h.Bank, h.Height}).text()
	if h.Newest != nil {
		why += "; and last: " + h.Newest.text()
	}
	return why
}

// HaltText says why the banks are halted, and what ends it.
func HaltText(h *Halt) string {
	why := HaltWhy(h)
	which, asset := "ALL BANKS ARE HALTED", "ASSET"
	switch len(h.Only) {
	case 0:
	case 1:
		which, asset = "THE BANK OF "+h.Only[0]+" IS HALTED", h.Only[0]
	default:
		which = "THE BANKS OF " + strings.Join(h.Only, ", ") + " ARE HALTED"
	}
	return which + ": " + why + ". They credit and pay nothing until the members lift it, bank by bank (souk vote lift-bank " + asset + "), each once it has no deficit."
}

// BankTroubles are what keeps the banks from their work, worst first, as the server says
// that answers.
func (s *Status) BankTroubles() (all []Trouble) {
	if s.BanksHalted != nil {
		all = append(all, Trouble{Bad: true, Text: HaltText(s.BanksHalted)})
	}
	for i := range s.Banks {
		all = append(all, s.Banks[i].troubles()...)
	}
	return all
}

func (b *BankHealth) troubles() (all []Trouble) {
	add := func(bad bool, format string, args ...any) {
		all = append(all, Trouble{b.Asset, bad, fmt.Sprintf(format, args...)})
	}
	if b.Deficit != "" {
		add(true, "It lacks %s %s: souk donate %s %s, or a payment to any address of the bank, ends that; then the members lift the halt.", b.Deficit, b.Asset, b.Asset, b.Deficit)
	}
	switch {
	case b.Seeing < b.Needed:
		add(true, "%d of %d members see the chain, and %d must: nothing is credited, and nothing new is paid. It takes more of %s: their operators see why with souk doctor --home DIR and souk status --home DIR.",
			b.Seeing, b.Members, b.Needed, strings.Join(b.Blind, ", "))
	case len(b.Blind) > 0:
		add(false, "%s does not see the chain, or is late: its operator sees why with souk doctor --home DIR.", strings.Join(b.Blind, ", "))
	}
	if b.NoRate && b.Seeing >= b.Needed {
		add(true, "Too few members know a fee rate, so nothing is paid: their nodes have no estimate yet. It comes by itself once these have seen enough blocks; light clients never have one: their operators set fee_rate under [chains.%s] in config.toml.", b.Network)
	}
	if b.WaitsToBump {
		add(true, "A transaction should pay more to be mined, and the reserve has only %s %s: souk donate %s AMOUNT fills it.", b.Reserve, b.Asset, b.Asset)
	}
	if b.WaitsToSweep {
		add(true, "Coins should move to the newest keys, and the reserve has only %s %s: souk federation rotate --show says how much is missing, souk donate %s AMOUNT fills it.", b.Reserve, b.Asset, b.Asset)
	}
	if b.WaitsToMine {
		add(false, "%s", WaitsToMineText)
	}
	if b.WaitsForRate {
		add(false, "%s", WaitsForRateText)
	}
	return all
}

// What two states of a bank mean that end by themselves (Y-24, Y-51).
const (
	WaitsToMineText  = "Withdrawals wait until one of the transactions under way is mined: as many as may be are not yet. As a rule that takes a few blocks of the chain; while its fees rise, the bank makes them pay more."
	WaitsForRateText = "Coins that are worth too little at the fee rate of now stay with older keys until the rate falls. Nothing is lost and nothing is to be done; the members keep the keys of older series until the last such coin has moved."
)
