package web

import (
	"context"
	_ "embed"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"souk/api"
)

// document is the OpenAPI description of the interface, as committed. A test
// compares it with what OpenAPI makes of the code.
//
//go:embed openapi.json
var document []byte

// version of the interface. It counts changes that old clients notice.
const version = "1.0.0"

// OpenAPI makes the OpenAPI 3.1 document out of the code.
func OpenAPI() ([]byte, error) {
	h := register(http.NewServeMux(), &virtual{})
	doc := h.OpenAPI()
	// huma's own error values are never answered: see problemOf.
	delete(doc.Components.Schemas.Map(), "ErrorModel")
	delete(doc.Components.Schemas.Map(), "ErrorDetail")
	return json.MarshalIndent(doc, "", "  ")
}

// register mounts all operations of a virtual server on a mux.
func register(mux *http.ServeMux, v *virtual) huma.API {
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Souk", Version: version,
				Description: "A virtual server of Souk. The rules are docs/spec/10-http.md. Below /vs/ and the id of a virtual server the same paths answer for that one.",
			},
			Servers:    []*huma.Server{{URL: "/"}, {URL: "/vs/{id}", Variables: map[string]*huma.ServerVariable{"id": {Default: "0", Description: "Virtual server: the hash of its founding contract, 64 hexadecimal digits."}}}},
			Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)},
		},
		// No docs page of huma's (it would load scripts from elsewhere; viewer.go has one), no $schema in responses.
		Formats:                      map[string]huma.Format{api.JSON: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                api.JSON,
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{problemOf},
	}
	config.AllowAdditionalPropertiesByDefault = true // fields may be added to responses
	h := humago.New(mux, config)
	get(h, "getStatus", "/status", "How the virtual server stands", v.status)
	getRaw(h, "getFounding", "/founding", "The founding contract, in its canonical encoding", v.founding)
	get(h, "listAssets", "/assets", "All assets, by id", v.assets)
	get(h, "getAsset", "/assets/{asset}", "An asset", v.asset)
	get(h, "listMarkets", "/markets", "All markets", v.markets)
	get(h, "getMarket", "/markets/{market}", "A market", v.market)
	get(h, "getBook", "/book/{market}", "A market's book by price", v.book)
	get(h, "listTrades", "/trades", "Trades of a market, newest first", v.trades)
	get(h, "getTrade", "/trades/{id}", "A trade", v.trade)
	get(h, "getAuction", "/auctions/{market}/{height}", "Why the trades of a block in a market have their prices", v.auction)
	get(h, "listCandles", "/candles/{market}", "What was traded in a market, time by time", v.candles)
	get(h, "listTickers", "/ticker", "What markets did in the last 24 hours", v.tickers)
	get(h, "getAudit", "/audit", "Every term of the conservation sum of every asset", v.audit)
	get(h, "listMembers", "/members", "The member servers", v.members)
	get(h, "getMember", "/members/{member}", "A member server", v.memberPage)
	get(h, "getParams", "/params", "The rules in force that members may change by vote", v.params)
	get(h, "listVotes", "/votes", "Open votes, and those that passed a short while ago", v.votes)
	get(h, "listLeaves", "/leaves", "Leaves of the state, all of the same block, with proofs", v.leaves)
	get(h, "listBanks", "/banks", "All banks: what they have, owe and do", v.banks)
	get(h, "getBank", "/banks/{asset}", "A bank, with its series of keys, transactions, and how the members attest and sign", v.bank)
	get(h, "getSeries", "/banks/{asset}/series/{number}", "A series of keys, from which addresses are derived", v.series)
	get(h, "listCoins", "/banks/{asset}/coins", "A bank's coins, by outpoint", v.coins)
	getRaw(h, "getLight", "/light/{height}", "A signed header for light clients, in the consensus engine's encoding", v.light)
	get(h, "getAccount", "/accounts/{address}", "One's own account", v.account)
	get(h, "listAddresses", "/accounts/{address}/addresses", "One's own deposit addresses, newest first", v.addresses)
	get(h, "listDeposits", "/accounts/{address}/deposits", "Payments to one's own deposit addresses", v.deposits)
	get(h, "listWithdrawals", "/accounts/{address}/withdrawals", "One's own withdrawals, newest first", v.withdrawals)
	get(h, "getWithdrawalSettings", "/accounts/{address}/withdrawal-settings", "What one's own withdrawals may do", v.withdrawalSettings)
	get(h, "getNonce", "/nonce", "The highest used nonce of one's own key", v.nonce)
	get(h, "listOrders", "/orders", "One's own live orders", v.orders)
	get(h, "getOrder", "/orders/{id}", "One of one's own live orders", v.order)
	get(h, "listFills", "/fills", "One's own fills, newest first", v.fills)
	get(h, "listEscrows", "/escrows", "Locked escrows that one has a part in, newest first", v.escrows)
	get(h, "getEscrow", "/escrows/{id}", "A locked escrow that one has a part in", v.escrow)
	get(h, "getCommand", "/commands/{id}", "What became of a command", v.fate)
	v.registerPost(h, mux)
	v.registerAdmission(h)
	v.registerPractice(h)
	v.registerNetwork(h)
	v.registerEvents(h, mux)
	registerViewer(mux)
	mux.HandleFunc("GET "+api.Prefix+"/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		if noQuery(w, r) {
			writeBody(w, http.StatusOK, api.JSON, document)
		}
	})
	return h
}

// get registers an operation that answers JSON.
func get[I, O any](h huma.API, id, path, summary string, handler func(context.Context, *I) (*Reply[O], error)) {
	huma.Register(h, operation(h, id, path, summary), handler)
}

// getRaw registers an operation that answers bytes.
func getRaw[I any](h huma.API, id, path, summary string, handler func(context.Context, *I) (*Raw, error)) {
	op := operation(h, id, path, summary)
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{api.Binary: {Schema: binarySchema()}}}
	huma.Register(h, op, handler)
}

func operation(h huma.API, id, path, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: api.Prefix + path, Summary: summary,
		Responses: map[string]*huma.Response{"default": problemResponse(h)},
	}
}

func problemResponse(h huma.API) *huma.Response {
	schema := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Error](), true, "")
	return &huma.Response{Description: "Problem", Content: map[string]*huma.MediaType{api.Problem: {Schema: schema}}}
}

func binarySchema() *huma.Schema { return &huma.Schema{Type: "string", Format: "binary"} }

// registerPost mounts the operation that takes commands, and describes it.
func (v *virtual) registerPost(h huma.API, mux *http.ServeMux) {
	schemas := h.OpenAPI().Components.Schemas
	h.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "postCommands", Method: http.MethodPost, Path: api.Prefix + "/commands",
		Summary:     "Have signed commands executed",
		Description: "Answers when every command has its fate: a receipt of the block that executed it, or, with height 0, why this server refused it. Sending a command again has no second effect and answers the first receipt.",
		Parameters: []*huma.Param{{
			Name: api.SilentHeader, In: "header", Schema: &huma.Schema{Type: "string"},
			Description: "Name or base URL of a member whose server got these commands before and did not answer.",
		}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			api.Binary: {Schema: binarySchema()},
			api.JSON:   {Schema: schemas.Schema(reflect.TypeFor[Commands](), true, "")},
		}},
		Responses: map[string]*huma.Response{
			"200": {Description: "OK", Content: map[string]*huma.MediaType{
				api.JSON:   {Schema: &huma.Schema{Type: "array", Items: schemas.Schema(reflect.TypeFor[api.Receipt](), true, "")}},
				api.Binary: {Schema: binarySchema()},
			}},
			"default": problemResponse(h),
		},
	})
	mux.HandleFunc("POST "+api.Prefix+"/commands", v.post)
}

// Commands is the JSON form of a request with commands.
type Commands struct {
	_        struct{} `additionalProperties:"false"`
	Commands []string `json:"commands" nullable:"false" minItems:"1" doc:"Signed commands, each in hexadecimal or padded standard base64."`
}

// problemOf puts huma's own complaints about parameters into our form.
func problemOf(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	e := api.NewError(api.BadRequest, "", "%s", m.Detail)
	if len(m.Errors) > 0 && m.Errors[0] != nil {
		e.Field, e.Detail = m.Errors[0].Location, m.Errors[0].Message+". See /v1/openapi.json."
	}
	if m.Status >= http.StatusInternalServerError {
		e = api.NewError(api.Broken, "", "This server has a fault. Ask another one, and tell the operator.")
	}
	e.Status, e.Title = m.Status, http.StatusText(m.Status)
	return e, nil
}
