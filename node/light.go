package node

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"souk/api"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/merkle"
)

// What keeps a light client from believing anything.
var (
	// ErrAlone is returned where a second server would have to confirm the first and
	// the client knows of none.
	ErrAlone = errors.New("one server alone cannot confirm what it says, and the virtual server has several")
	// ErrUnconfirmed is returned when no second server confirms a header.
	ErrUnconfirmed = comet.ErrUnconfirmed
	// ErrExpired is returned when all that is trusted is older than the trust period (C-65).
	ErrExpired = comet.ErrExpired
	// ErrBehind is returned when the servers are further back than what was verified before.
	ErrBehind = errors.New("the servers know less than what was verified before")
)

// Light follows a virtual server's signed headers for a client. It implements api.HeaderSource.
type Light struct {
	client *comet.LightClient
	floor  uint64 // height that was verified another day
}

// LightOptions say where trust begins, if not at the founding contract.
type LightOptions struct {
	Saved      string // what Save answered another day
	Checkpoint string // HEIGHT:HASH of a header that two members confirmed
}

// NewLight begins to follow the virtual server that a client is pinned to: from
// its founding contract, a checkpoint, or what was verified another day.
func NewLight(ctx context.Context, client *api.Client, o LightOptions) (*Light, error) {
	id, err := client.ID(ctx)
	if err != nil {
		return nil, err
	}
	founding, err := client.Founding(ctx)
	if err != nil {
		return nil, err
	}
	c := comet.LightConfig{ID: merkle.Hash(id), Alone: len(founding.Members) == 1}
	c.Trust.Validators = founders(founding)
	if o.Checkpoint != "" {
		if c.Trust.Height, c.Trust.Hash, err = parseCheckpoint(o.Checkpoint); err != nil {
			return nil, err
		}
	}
	floor := uint64(0)
	if o.Saved != "" {
		if floor, err = SavedHeight(id, o.Saved); err != nil {
			return nil, err
		}
		if o.Checkpoint == "" {
			c.Saved, _ = base64.StdEncoding.DecodeString(o.Saved) // SavedHeight could
		}
	}
	if !c.Alone && len(client.Servers()) == 1 {
		return nil, ErrAlone
	}
	for _, url := range client.Servers() {
		c.Sources = append(c.Sources, comet.Source{Name: url, Fetch: func(ctx context.Context, height uint64) ([]byte, error) {
			return client.LightBlockFrom(ctx, url, height)
		}})
	}
	light, err := comet.NewLightClient(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Light{light, floor}, nil
}

// SavedHeight is the height of what Save answered another day.
func SavedHeight(id exchange.ID, saved string) (uint64, error) {
	data, err := base64.StdEncoding.DecodeString(saved)
	if err == nil {
		var v comet.Verified
		if v, err = comet.ReadSaved(merkle.Hash(id), data); err == nil {
			return v.Height, nil
		}
	}
	return 0, fmt.Errorf("the saved checkpoint is damaged; remove it from purse.toml: %w", err)
}

func parseCheckpoint(s string) (height uint64, hash merkle.Hash, err error) {
	h, x, _ := strings.Cut(s, ":")
	height, err = strconv.ParseUint(h, 10, 64)
	data, err2 := hex.DecodeString(x)
	if err != nil || err2 != nil || len(data) != len(hash) || height == 0 {
		return 0, hash, fmt.Errorf("checkpoint %q: write HEIGHT:HASH with 64 hexadecimal digits", s)
	}
	return height, merkle.Hash(data), nil
}

// Header implements api.HeaderSource. It waits for a height that is about to come.
func (l *Light) Header(ctx context.Context, height uint64) (root merkle.Hash, ms uint64, err error) {
	for {
		v, err := l.client.At(ctx, height)
		if err == nil {
			return v.Root, uint64(v.Time.UnixMilli()), nil
		}
		head, herr := l.client.Head(ctx)
		if herr != nil || head.Height >= height {
			return merkle.Hash{}, 0, err
		}
		select {
		case <-ctx.Done():
			return merkle.Hash{}, 0, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Newest implements api.HeaderSource. It is never below what was verified another day.
func (l *Light) Newest(ctx context.Context) (height uint64, root merkle.Hash, err error) {
	v, err := l.client.Newest(ctx)
	if err != nil {
		return 0, merkle.Hash{}, err
	}
	if v.Height < l.floor {
		return 0, merkle.Hash{}, fmt.Errorf("block %d, after block %d: %w", v.Height, l.floor, ErrBehind)
	}
	return v.Height, v.Root, nil
}

// Faulty names the servers that have sent blocks that do not verify, and why.
func (l *Light) Faulty() map[string]string { return l.client.Faulty() }

// Save is what to continue from another day.
func (l *Light) Save() (string, error) {
	data, err := l.client.Save()
	return base64.StdEncoding.EncodeToString(data), err
}
