package asset_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
)

// number draws 64-bit numbers, half of them near the ends and near powers of two
// and ten, where carries are.
var number = rapid.OneOf(
	rapid.Uint64(),
	rapid.Custom(func(t *rapid.T) uint64 {
		return 1<<rapid.IntRange(0, 63).Draw(t, "bit") + rapid.Uint64Range(0, 4).Draw(t, "more") - 2
	}),
	rapid.Custom(func(t *rapid.T) uint64 {
		unit := uint64(asset.Unit(rapid.Uint8Range(0, asset.MaxDecimals).Draw(t, "decimals")))
		return unit*rapid.Uint64Range(0, 9).Draw(t, "digit") + rapid.Uint64Range(0, 4).Draw(t, "more") - 2
	}),
)

func wide(t *rapid.T, name string) asset.Wide {
	return asset.Wide{Hi: rapid.OneOf(rapid.Just(uint64(0)), number).Draw(t, name+".Hi"), Lo: number.Draw(t, name+".Lo")}
}

func toBig(n uint64) *big.Int { return new(big.Int).SetUint64(n) }

func wideToBig(w asset.Wide) *big.Int {
	b := toBig(w.Hi)
	return b.Add(b.Lsh(b, 64), toBig(w.Lo))
}

func unitBig(decimals uint8) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
}

// agree checks a checked result of some width against the exact one.
func agree(t *rapid.T, what string, got *big.Int, ok bool, want *big.Int, bits int) {
	t.Helper()
	fits := want.Sign() >= 0 && want.BitLen() <= bits
	if ok != fits || ok && got.Cmp(want) != 0 {
		t.Fatalf("%s is %v, ok %v; want %v, ok %v", what, got, ok, want, fits)
	}
}

// V-2: sums and differences are exact or reported.
func TestAmountArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		sum, ok := asset.Amount(a).Add(asset.Amount(b))
		agree(t, "sum", toBig(uint64(sum)), ok, new(big.Int).Add(toBig(a), toBig(b)), 64)
		diff, ok := asset.Amount(a).Sub(asset.Amount(b))
		agree(t, "difference", toBig(uint64(diff)), ok, new(big.Int).Sub(toBig(a), toBig(b)), 64)
		if got, want := wideToBig(asset.Mul(a, b)), new(big.Int).Mul(toBig(a), toBig(b)); got.Cmp(want) != 0 {
			t.Fatalf("product is %v, want %v", got, want)
		}
	})
}

// V-4: 128-bit arithmetic is exact or reported.
func TestWideArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := wide(t, "v"), wide(t, "w")
		if rapid.Bool().Draw(t, "same") {
			w = v
		}
		bv, bw := wideToBig(v), wideToBig(w)
		sum, ok := v.Add(w)
		agree(t, "sum", wideToBig(sum), ok, new(big.Int).Add(bv, bw), 128)
		diff, ok := v.Sub(w)
		agree(t, "difference", wideToBig(diff), ok, new(big.Int).Sub(bv, bw), 128)
		if v.Cmp(w) != bv.Cmp(bw) || v.IsZero() != (bv.Sign() == 0) {
			t.Fatalf("Cmp %d, want %d; IsZero %v", v.Cmp(w), bv.Cmp(bw), v.IsZero())
		}

		d := number.Draw(t, "d")
		quo, rem, ok := v.Div(d)
		up, okUp := v.DivUp(d)
		if d == 0 {
			if ok || okUp {
				t.Fatal("divided by zero")
			}
			return
		}
		wantQuo, wantRem := new(big.Int).QuoRem(bv, toBig(d), new(big.Int))
		agree(t, "quotient", toBig(quo), ok, wantQuo, 64)
		if ok && toBig(rem).Cmp(wantRem) != 0 {
			t.Fatalf("remainder %d, want %v", rem, wantRem)
		}
		if wantRem.Sign() > 0 {
			wantQuo.Add(wantQuo, big.NewInt(1))
		}
		agree(t, "quotient rounded up", toBig(up), okUp, wantQuo, 64)
	})
}

// V-5: a cost is price times quantity over 10^decimals of the base, rounded as asked.
func TestCost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := number.Draw(t, "price"), number.Draw(t, "quantity")
		decimals := rapid.Uint8Range(0, asset.MaxDecimals+2).Draw(t, "decimals")
		down, okDown := asset.CostDown(asset.Price(p), asset.Amount(q), decimals)
		up, okUp := asset.CostUp(asset.Price(p), asset.Amount(q), decimals)
		if decimals > asset.MaxDecimals {
			if okDown || okUp || asset.Unit(decimals) != 0 {
				t.Fatalf("a cost with %d decimals", decimals)
			}
			return
		}
		unit := unitBig(decimals)
		if toBig(uint64(asset.Unit(decimals))).Cmp(unit) != 0 {
			t.Fatalf("Unit(%d) = %d", decimals, asset.Unit(decimals))
		}
		want, rem := new(big.Int).QuoRem(new(big.Int).Mul(toBig(p), toBig(q)), unit, new(big.Int))
		agree(t, "cost rounded down", toBig(uint64(down)), okDown, want, 64)
		if rem.Sign() > 0 {
			want.Add(want, big.NewInt(1))
		}
		agree(t, "cost rounded up", toBig(uint64(up)), okUp, want, 64)
	})
}

// V-6: the worked examples of the specification.
func TestCostExamples(t *testing.T) {
	for _, c := range []struct {
		name                        string
		price, quantity             string
		baseDecimals, quoteDecimals uint8
		wantPrice                   asset.Price
		wantUp, wantDown            string
	}{
		{"BTC-EUR", "64250.50000000", "0.00012345", 8, 8, 6425050000000, "7.93172423", "7.93172422"},
		{"LTC-BTC", "0.00137000", "0.00000001", 8, 8, 137000, "0.00000001", "0.00000000"},
		{"ETH-EUR", "2500.00000000", "0.000000001", 9, 8, 250000000000, "0.00000250", "0.00000250"},
		{"TICKET-EUR, base without decimals", "12.50000000", "3", 0, 8, 1250000000, "37.50000000", "37.50000000"},
		{"BTC-TICKET, quote without decimals", "5000", "0.00030000", 8, 0, 5000, "2", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := asset.Parse(c.price, c.quoteDecimals)
			if err != nil {
				t.Fatal(err)
			}
			q, err := asset.Parse(c.quantity, c.baseDecimals)
			if err != nil {
				t.Fatal(err)
			}
			if asset.Price(p) != c.wantPrice {
				t.Errorf("price is %d, want %d", p, c.wantPrice)
			}
			up, okUp := asset.CostUp(asset.Price(p), q, c.baseDecimals)
			down, okDown := asset.CostDown(asset.Price(p), q, c.baseDecimals)
			if !okUp || asset.Format(up, c.quoteDecimals) != c.wantUp {
				t.Errorf("cost rounded up is %s, want %s", asset.Format(up, c.quoteDecimals), c.wantUp)
			}
			if !okDown || asset.Format(down, c.quoteDecimals) != c.wantDown {
				t.Errorf("cost rounded down is %s, want %s", asset.Format(down, c.quoteDecimals), c.wantDown)
			}
		})
	}
}

// V-3: what Format writes means the amount, and Parse reads it back.
func TestFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := asset.Amount(number.Draw(t, "amount"))
		decimals := rapid.Uint8Range(0, asset.MaxDecimals).Draw(t, "decimals")
		s := asset.Format(a, decimals)
		got, ok := new(big.Rat).SetString(s)
		want := new(big.Rat).SetFrac(toBig(uint64(a)), unitBig(decimals))
		if !ok || got.Cmp(want) != 0 {
			t.Fatalf("%d with %d decimals is written %q", a, decimals, s)
		}
		if back, err := asset.Parse(s, decimals); err != nil || back != a {
			t.Fatalf("%q is read as %d, %v; want %d", s, back, err, a)
		}
		short := s
		if decimals > 0 {
			short = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
		}
		if back, err := asset.Parse(short, decimals); err != nil || back != a {
			t.Fatalf("%q is read as %d, %v; want %d", short, back, err, a)
		}
	})
}

// V-3: what is not a plain decimal number is refused, and why.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		text     string
		decimals uint8
		want     error
	}{
		{"", 8, asset.ErrSyntax},
		{".", 8, asset.ErrSyntax},
		{".5", 8, asset.ErrSyntax},
		{"5.", 8, asset.ErrSyntax},
		{"1.2.3", 8, asset.ErrSyntax},
		{"-1", 8, asset.ErrSyntax},
		{"+1", 8, asset.ErrSyntax},
		{"1e3", 8, asset.ErrSyntax},
		{"0x10", 8, asset.ErrSyntax},
		{"1_000", 8, asset.ErrSyntax},
		{"1,000", 8, asset.ErrSyntax},
		{" 1", 8, asset.ErrSyntax},
		{"1 ", 8, asset.ErrSyntax},
		{"١", 8, asset.ErrSyntax},
		{"NaN", 8, asset.ErrSyntax},
		{"1.000000000", 8, asset.ErrPrecision},
		{"1.0", 0, asset.ErrPrecision},
		{"184467440737.09551616", 8, asset.ErrRange},
		{"18446744073709551616", 0, asset.ErrRange},
		{"1000000000000000000000", 18, asset.ErrRange},
		{"0", 19, asset.ErrRange},
		{"1", 255, asset.ErrRange},
		{strings.Repeat("0", 100), 8, asset.ErrSyntax},
		{strings.Repeat("1", 100), 8, asset.ErrSyntax},
	} {
		if got, err := asset.Parse(c.text, c.decimals); !errors.Is(err, c.want) {
			t.Errorf("Parse(%q, %d) = %d, %v; want %v", c.text, c.decimals, got, err, c.want)
		}
	}
	if got, err := asset.Parse("184467440737.09551615", 8); err != nil || got != math.MaxUint64 {
		t.Errorf("the largest amount is read as %d, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "12", "0.5", "12.50000000", "184467440737.09551615", "00.1", ".", "1e9"} {
		f.Add(s, uint8(8))
	}
	f.Fuzz(func(t *testing.T, s string, decimals uint8) {
		a, err := asset.Parse(s, decimals)
		if err != nil {
			if !errors.Is(err, asset.ErrSyntax) && !errors.Is(err, asset.ErrPrecision) && !errors.Is(err, asset.ErrRange) {
				t.Errorf("error %v is none of the documented ones", err)
			}
			return
		}
		got := new(big.Rat).SetFrac(toBig(uint64(a)), unitBig(decimals))
		want, ok := new(big.Rat).SetString(s)
		if !ok || got.Cmp(want) != 0 {
			t.Errorf("%q with %d decimals is read as %d", s, decimals, a)
		}
		if back, err := asset.Parse(asset.Format(a, decimals), decimals); err != nil || back != a {
			t.Errorf("%d is written %q and read as %d, %v", a, asset.Format(a, decimals), back, err)
		}
	})
}

func ExampleFormat() {
	fmt.Println(asset.Format(150, 8))
	fmt.Println(asset.Format(150, 0))
	// Output:
	// 0.00000150
	// 150
}
