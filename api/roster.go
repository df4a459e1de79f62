package api

import (
	"context"

	"souk/asset"
	"souk/exchange"
)

// Members are the member servers of a virtual server.
type Members struct {
	At
	Members []Member `json:"members" nullable:"false" doc:"By number."`
}

// MemberPage is one member server.
type MemberPage struct {
	At
	Member
	Proof *Proof `json:"proof,omitempty"`
}

// Params are the rules in force that members may change by vote.
type Params struct {
	At
	FeeAsset        string `json:"fee_asset,omitempty" doc:"Symbol of the asset of the fee per command; absent: there is none."`
	Fee             string `json:"fee,omitempty" doc:"Per command, in that asset."`
	AccountCommands uint32 `json:"account_commands" doc:"Most commands of one account in a block."`
	MarketOrders    uint32 `json:"market_orders" doc:"Most live orders of one account in one market."`
	RotationDelay   uint64 `json:"rotation_delay" doc:"How long a change of an owner key waits, ms."`
	VoteBlocks      uint64 `json:"vote_blocks" doc:"Blocks after which an open vote is void."`
	MissedTurns     uint32 `json:"missed_turns" doc:"Turns missed in a row before a server is demoted."`
	AccountAssets   uint32 `json:"account_assets" doc:"Most assets that one account may issue."`
	Proof           *Proof `json:"proof,omitempty" doc:"Its leaf is the clock leaf, which holds the rules behind height, time and root of results."`
}

// ParamsValue is the rules as they stand in JSON.
func ParamsValue(p *exchange.Params, assets AssetSource) Params {
	v := Params{
		AccountCommands: p.AccountCommands, MarketOrders: p.MarketOrders, RotationDelay: p.RotationDelay, VoteBlocks: p.VoteBlocks,
		MissedTurns: p.MissedTurns, AccountAssets: p.AccountAssets,
	}
	if p.FeeAsset != 0 {
		of, _ := assets.Asset(p.FeeAsset)
		v.FeeAsset, v.Fee = of.Symbol, asset.Format(p.Fee, of.Decimals)
	}
	return v
}

// Params are the rules in force, as a server says.
func (c *Client) Params(ctx context.Context) (*Params, error) {
	return get[Params](ctx, c, Prefix+"/params", nil)
}

// Members are the member servers, as a server says.
func (c *Client) Members(ctx context.Context) (*Members, error) {
	return get[Members](ctx, c, Prefix+"/members", nil)
}
