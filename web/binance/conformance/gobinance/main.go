// Command gobinance runs steps with go-binance, as the scripts beside it do with other
// clients. It is a module of its own, so that the product does not depend on go-binance.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/adshao/go-binance/v2"
	"github.com/adshao/go-binance/v2/common"
)

const symbol = "BTCEUR"

// config is what the test writes to standard input.
type config struct {
	Base, WSS, Key, Secret, Kind string
}

type line struct {
	Step  string `json:"step"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

var failed bool

func step(name string, run func() error) {
	l := line{Step: name, OK: true}
	if err := run(); err != nil {
		l.OK, l.Error, failed = false, err.Error(), true
	}
	_ = json.NewEncoder(os.Stdout).Encode(l)
}

func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func main() {
	var c config
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		panic(err)
	}
	cl := binance.NewClient(c.Key, c.Secret)
	cl.BaseURL = c.Base
	if c.Kind == "ed25519" {
		cl.KeyType = common.KeyTypeEd25519
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	public(ctx, cl)
	private(ctx, cl)
	if failed {
		os.Exit(1)
	}
}

func public(ctx context.Context, cl *binance.Client) {
	step("exchangeInfo", func() error {
		i, err := cl.NewExchangeInfoService().Symbol(symbol).Do(ctx)
		if err != nil {
			return err
		}
		s := i.Symbols[0]
		return check(s.Symbol == symbol && s.PriceFilter() != nil && s.LotSizeFilter() != nil && s.NotionalFilter() != nil, "%+v", s)
	})
	step("depth", func() error {
		b, err := cl.NewDepthService().Symbol(symbol).Limit(5).Do(ctx)
		if err != nil {
			return err
		}
		return check(b.LastUpdateID > 0 && len(b.Bids) > 0 && len(b.Asks) > 0, "%+v", b)
	})
	step("klines", func() error {
		k, err := cl.NewKlinesService().Symbol(symbol).Interval("1m").Limit(3).Do(ctx)
		if err != nil {
			return err
		}
		return check(len(k) > 0, "%+v", k)
	})
	step("listPriceChangeStats", func() error {
		s, err := cl.NewListPriceChangeStatsService().Symbol(symbol).Do(ctx)
		if err != nil {
			return err
		}
		return check(len(s) == 1 && s[0].LastPrice != "", "%+v", s)
	})
	step("aggTrades", func() error {
		a, err := cl.NewAggTradesService().Symbol(symbol).Do(ctx)
		if err != nil {
			return err
		}
		return check(len(a) > 0, "%+v", a)
	})
}

func private(ctx context.Context, cl *binance.Client) {
	var id int64
	step("account", func() error {
		a, err := cl.NewGetAccountService().Do(ctx)
		if err != nil {
			return err
		}
		return check(a.CanTrade && len(a.Balances) >= 2, "%+v", a)
	})
	step("createOrder limit", func() error {
		o, err := cl.NewCreateOrderService().Symbol(symbol).Side(binance.SideTypeBuy).Type(binance.OrderTypeLimit).
			TimeInForce(binance.TimeInForceTypeGTC).Quantity("0.01").Price("40000").NewClientOrderID("go-1").Do(ctx)
		if err != nil {
			return err
		}
		id = o.OrderID
		return check(o.Status == binance.OrderStatusTypeNew && o.ClientOrderID == "go-1", "%+v", o)
	})
	step("createOrder market", func() error {
		o, err := cl.NewCreateOrderService().Symbol(symbol).Side(binance.SideTypeBuy).Type(binance.OrderTypeMarket).Quantity("0.01").Do(ctx)
		if err != nil {
			return err
		}
		return check(o.Status == binance.OrderStatusTypeFilled && len(o.Fills) > 0, "%+v", o)
	})
	step("getOrder", func() error {
		o, err := cl.NewGetOrderService().Symbol(symbol).OrigClientOrderID("go-1").Do(ctx)
		if err != nil {
			return err
		}
		return check(o.OrderID == id && o.IsWorking, "%+v", o)
	})
	step("listOpenOrders", func() error {
		o, err := cl.NewListOpenOrdersService().Symbol(symbol).Do(ctx)
		if err != nil {
			return err
		}
		return check(len(o) == 1, "%+v", o)
	})
	step("cancelOrder", func() error {
		o, err := cl.NewCancelOrderService().Symbol(symbol).OrderID(id).Do(ctx)
		if err != nil {
			return err
		}
		return check(o.Status == binance.OrderStatusTypeCanceled, "%+v", o)
	})
	step("listTrades", func() error {
		t, err := cl.NewListTradesService().Symbol(symbol).Do(ctx)
		if err != nil {
			return err
		}
		return check(len(t) == 1 && t[0].IsBuyer, "%+v", t)
	})
	step("user stream", func() error {
		key, err := cl.NewStartUserStreamService().Do(ctx)
		if err != nil {
			return err
		}
		if err := cl.NewKeepaliveUserStreamService().ListenKey(key).Do(ctx); err != nil {
			return err
		}
		return cl.NewCloseUserStreamService().ListenKey(key).Do(ctx)
	})
	step("errors", func() error {
		_, err := cl.NewCancelOrderService().Symbol(symbol).OrderID(id).Do(ctx)
		var e *common.APIError
		return check(errors.As(err, &e) && e.Code == -2011, "cancelled twice: %v", err)
	})
}
