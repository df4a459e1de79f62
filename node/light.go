package node

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"souk/api"
	"souk/consensus"
	"souk/consensus/comet"
	"souk/exchange/roster"
	"souk/merkle"
)

// Light follows a virtual server's signed headers for a client. It implements api.HeaderSource.
type Light struct{ client *comet.LightClient }

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
	for i := range founding.Members {
		m := &founding.Members[i]
		c.Trust.Validators = append(c.Trust.Validators, consensus.Validator{Key: m.Consensus, Power: roster.FullPower})
	}
	if o.Checkpoint != "" {
		if c.Trust.Height, c.Trust.Hash, err = parseCheckpoint(o.Checkpoint); err != nil {
			return nil, err
		}
	}
	if o.Saved != "" {
		if c.Saved, err = base64.StdEncoding.DecodeString(o.Saved); err != nil {
			return nil, fmt.Errorf("the saved checkpoint is damaged; remove it from purse.toml: %w", err)
		}
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
	return &Light{light}, nil
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

// Faulty names the servers that have sent blocks that do not verify, and why.
func (l *Light) Faulty() map[string]string { return l.client.Faulty() }

// Save is what to continue from another day.
func (l *Light) Save() (string, error) {
	data, err := l.client.Save()
	return base64.StdEncoding.EncodeToString(data), err
}
