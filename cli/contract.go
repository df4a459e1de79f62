package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/identity"
	"souk/node"
	"souk/script"
)

// contract is a founding contract as it is shown: everything that its hash, the id,
// is made of, so that founders can compare it.
type contract struct {
	VirtualServer string           `json:"virtual_server"`
	Name          string           `json:"name"`
	Founded       uint64           `json:"founded"` // ms
	Profile       string           `json:"profile"`
	Protocol      uint32           `json:"protocol"`
	Members       []contractMember `json:"members"`
	Assets        []contractAsset  `json:"assets"`
	Markets       []contractMarket `json:"markets"`
	Banks         []contractBank   `json:"banks"`
	Reserved      []string         `json:"reserved_symbols"`
	Rules         contractRules    `json:"rules"`
	Origin        *contractOrigin  `json:"origin,omitempty"`
}

type contractMember struct {
	memberName
	URL       string `json:"url"`
	P2P       string `json:"p2p"`
	Operator  string `json:"operator"` // the account that votes
	Key       string `json:"operator_key"`
	Server    string `json:"server_key"`
	Consensus string `json:"consensus_key"`
	Made      uint64 `json:"made"` // ms

	Banks []networkKey `json:"bank_keys"`
}

// contractBank is a bank as the contract has it.
type contractBank struct {
	Asset         string            `json:"asset"`
	Network       string            `json:"network"`
	Needed        int               `json:"needed"` // members who must sign, of
	Members       int               `json:"members"`
	Wallets       uint8             `json:"wallets"`
	MinDeposit    string            `json:"min_deposit"`
	MinWithdrawal string            `json:"min_withdrawal"`
	HourlyLimit   string            `json:"hourly_limit"`
	DelayAbove    string            `json:"delay_above"`
	Delay         uint64            `json:"delay"`  // ms
	Gather        uint64            `json:"gather"` // ms
	BumpBlocks    uint32            `json:"bump_blocks"`
	CoolDown      uint64            `json:"cool_down"` // ms
	StartHeight   uint32            `json:"start_height"`
	StartHash     string            `json:"start_hash"`
	Recovery      *contractRecovery `json:"recovery,omitempty"`
}

type contractRecovery struct {
	Needed  uint8    `json:"needed"`
	Keys    []string `json:"keys"`
	Blocks  uint32   `json:"blocks,omitempty"`
	Seconds uint64   `json:"seconds,omitempty"`
}

func bankOf(b *exchange.FoundingBank, members int) contractBank {
	c := contractBank{
		Asset: b.Symbol, Network: b.Network, Needed: custody.Threshold(members), Members: members, Wallets: b.Wallets,
		MinDeposit: asset.Format(b.MinDeposit, 8), MinWithdrawal: asset.Format(b.MinWithdrawal, 8), HourlyLimit: asset.Format(b.MaxPerHour, 8),
		DelayAbove: asset.Format(b.DelayAbove, 8), Delay: b.Delay, Gather: b.Gather, BumpBlocks: b.BumpBlocks, CoolDown: b.CoolDown,
		StartHeight: b.Start.Height, StartHash: b.Start.Hash.String(),
	}
	if r := b.Recovery; r != nil {
		c.Recovery = &contractRecovery{Needed: r.K, Blocks: r.Blocks, Seconds: uint64(r.Intervals) * script.IntervalSeconds}
		for i := range r.Keys {
			c.Recovery.Keys = append(c.Recovery.Keys, r.Keys[i].String())
		}
	}
	return c
}

func (b *contractBank) print(w io.Writer) {
	p(w, "\nbank\t%s on %s\n  sign\t%d of %d members\n  wallets\t%d\n  least deposit\t%s\n  least withdrawal\t%s\n  most that leaves in an hour\t%s\n",
		b.Asset, b.Network, b.Needed, b.Members, b.Wallets, b.MinDeposit, b.MinWithdrawal, b.HourlyLimit)
	p(w, "  to a new address above %s\twaits for %s\n  withdrawals are gathered for\t%s\n  a transaction may pay more after\t%s\n  a new member's key waits for\t%s\n",
		b.DelayAbove, span(b.Delay), span(b.Gather), count(b.BumpBlocks, "block"), span(b.CoolDown))
	p(w, "  begins with block\t%d, %s\n", b.StartHeight, b.StartHash)
	if b.Members == 1 {
		p(w, "  who holds its coins\tTHE OPERATOR, alone\n")
	}
	r := b.Recovery
	if r == nil {
		p(w, "  recovery\tnone: coins are lost if more than %d members lose their keys\n", b.Members-b.Needed)
		return
	}
	after := count(r.Blocks, "block")
	if r.Blocks == 0 {
		after = span(r.Seconds / 86400 * 86_400_000)
		if r.Seconds < 2*86400 {
			after = span(r.Seconds * 1000)
		}
	}
	p(w, "  recovery\t%d of %d holders, offline, once a coin has lain for %s\n", r.Needed, len(r.Keys), after)
	for _, k := range r.Keys {
		p(w, "  \t%s\n", k)
	}
}

type contractAsset struct {
	Symbol    string `json:"symbol"`
	Decimals  uint8  `json:"decimals"`
	Issuer    string `json:"issuer"`
	MaxSupply string `json:"max_supply"`
	Contract  string `json:"contract"`
	Hash      string `json:"contract_sha256"`
}

type contractMarket struct {
	Market      string `json:"market"`
	Tick        string `json:"tick"`
	Lot         string `json:"lot"`
	MinNotional string `json:"min_notional"`
	Reference   string `json:"reference_price"`
	MakerPPM    uint32 `json:"maker_ppm"`
	TakerPPM    uint32 `json:"taker_ppm"`
	ReservePPM  uint32 `json:"reserve_ppm"`
	BandPPM     uint32 `json:"band_ppm"`
}

type contractRules struct {
	FeeAsset        string `json:"fee_asset,omitempty"`
	Fee             string `json:"fee,omitempty"`
	AccountCommands uint32 `json:"account_commands"`
	MarketOrders    uint32 `json:"market_orders"`
	RotationDelay   uint64 `json:"rotation_delay"` // ms
	VoteBlocks      uint64 `json:"vote_blocks"`
	MissedTurns     uint32 `json:"missed_turns"`
	AccountAssets   uint32 `json:"account_assets"`
}

type contractOrigin struct {
	Server string `json:"virtual_server"`
	Height uint64 `json:"height"`
	Root   string `json:"root"`
}

func contractOf(f *exchange.Founding) contract {
	id := f.ID()
	c := contract{
		VirtualServer: hex.EncodeToString(id[:]), Name: f.Name, Founded: f.Created, Profile: f.Profile.String(), Protocol: f.Protocol,
		Members: []contractMember{}, Assets: []contractAsset{}, Markets: []contractMarket{}, Banks: []contractBank{}, Reserved: append([]string{}, f.Reserved...),
		Rules: contractRules{
			AccountCommands: f.Params.AccountCommands, MarketOrders: f.Params.MarketOrders, RotationDelay: f.Params.RotationDelay,
			VoteBlocks: f.Params.VoteBlocks, MissedTurns: f.Params.MissedTurns, AccountAssets: f.Params.AccountAssets,
		},
	}
	for i := range f.Members {
		m := &f.Members[i]
		c.Members = append(c.Members, contractMember{
			memberName{uint32(i + 1), m.Name},
			m.URL, m.P2P, identity.AddressOf(m.Operator).String(),
			m.Operator.String(), m.Server.String(), m.Consensus.String(), m.Made, networkKeys(m.Banks),
		})
	}
	decimals := map[string]uint8{}
	for _, x := range f.Assets {
		hash := sha256.Sum256([]byte(x.Contract))
		decimals[x.Symbol] = x.Decimals
		c.Assets = append(c.Assets, contractAsset{
			x.Symbol, x.Decimals, x.Issuer.String(), asset.Format(x.MaxSupply, x.Decimals), x.Contract, hex.EncodeToString(hash[:]),
		})
	}
	for i := range f.Markets {
		m, t := &f.Markets[i], &f.Markets[i].Terms
		base, quote := decimals[m.Base], decimals[m.Quote]
		c.Markets = append(c.Markets, contractMarket{
			m.Base + "-" + m.Quote, asset.Format(asset.Amount(t.Tick), quote), asset.Format(t.Lot, base), asset.Format(t.MinNotional, quote),
			asset.Format(asset.Amount(t.Reference), quote), t.MakerPPM, t.TakerPPM, t.ReservePPM, t.BandPPM,
		})
	}
	for i := range f.Banks {
		c.Banks = append(c.Banks, bankOf(&f.Banks[i], len(f.Members)))
	}
	if n := f.Params.FeeAsset; n != 0 {
		c.Rules.FeeAsset, c.Rules.Fee = fmt.Sprintf("asset %d", n), fmt.Sprintf("%d units", f.Params.Fee)
		if int(n) <= len(f.Assets) {
			x := &f.Assets[n-1]
			c.Rules.FeeAsset, c.Rules.Fee = x.Symbol, asset.Format(f.Params.Fee, x.Decimals)
		}
	}
	if o := f.Origin; o != nil {
		c.Origin = &contractOrigin{hex.EncodeToString(o.Server[:]), o.Height, o.Root.String()}
	}
	return c
}

func (a *app) federationShow() *cobra.Command {
	return &cobra.Command{
		Use: "show FOUNDING", Short: "Show everything that a founding contract says", Args: cobra.ExactArgs(1),
		Long: `Show everything that a founding contract says, for its founders to compare before they join. The id is
the hash of all of it: whoever sees the same id has the same contract.`,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := node.ReadFounding(args[0])
			if err != nil {
				return err
			}
			c := contractOf(f)
			return a.show(&c, func(w io.Writer) { c.print(w, &f.Params) })
		},
	}
}

func (c *contract) print(w io.Writer, params *exchange.Params) {
	p(w, "virtual server\t%s\n", c.VirtualServer)
	p(w, "name\t%s\nfounded\t%s\nprofile\t%s\nprotocol\tversion %d\n", c.Name, when(c.Founded), c.Profile, c.Protocol)
	if o := c.Origin; o != nil {
		p(w, "goes on from\t%s at block %d, root %s\n", o.Server, o.Height, o.Root)
		p(w, "\tassets, markets and reserved symbols are those of that state\n")
	}
	fee := "none"
	if c.Rules.Fee != "" {
		fee = c.Rules.Fee + " " + c.Rules.FeeAsset
	}
	for _, x := range paramChanges(params, fee) {
		p(w, "%s\t%s\n", x.What, x.To)
	}
	if c.Origin == nil {
		p(w, "reserved symbols\t%s\n", orNone(c.Reserved))
	}
	for i := range c.Members {
		m := &c.Members[i]
		p(w, "\nmember\t%s, card made on %s\n", m.memberName, when(m.Made))
		p(w, "  url\t%s\n  p2p\t%s\n  operator\t%s\n  operator key\t%s\n  server key\t%s\n  consensus key\t%s\n",
			m.URL, m.P2P, m.Operator, m.Key, m.Server, m.Consensus)
		for _, k := range m.Banks {
			if slices.ContainsFunc(c.Banks, func(b contractBank) bool { return b.Network == k.Network }) {
				p(w, "  bank key\t%s %s\n", k.Network, k.Key)
			}
		}
	}
	for i := range c.Assets {
		x := &c.Assets[i]
		if slices.ContainsFunc(c.Banks, func(b contractBank) bool { return b.Asset == x.Symbol }) {
			x.Issuer = "nobody: its bank keeps the coins"
		}
		p(w, "\nasset\t%s\n  decimals\t%d\n  issuer\t%s\n  most that there can be\t%s\n  contract\t%s\n  its SHA-256\t%s\n",
			x.Symbol, x.Decimals, x.Issuer, x.MaxSupply, strings.Join(strings.Fields(x.Contract), " "), x.Hash)
	}
	for i := range c.Banks {
		c.Banks[i].print(w)
	}
	for i := range c.Markets {
		m := &c.Markets[i]
		p(w, "\nmarket\t%s\n  tick\t%s\n  lot\t%s\n  least value of an order\t%s\n  reference price\t%s\n", m.Market, m.Tick, m.Lot, m.MinNotional, m.Reference)
		p(w, "  maker fee\t%s\n  taker fee\t%s\n  reserve's share of the fees\t%s\n  price band\t%s\n",
			percent(m.MakerPPM), percent(m.TakerPPM), percent(m.ReservePPM), band(m.BandPPM))
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
