package cli_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"souk/cli"
	"souk/internal/bulk"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"souk": func() { os.Exit(cli.QuickMain(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	params := testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
			return nil
		},
	}
	if !bulk.Whole() { // races are between servers and those who trade, not in words and files
		params.Dir, params.Files = "", []string{"testdata/founding.txt", "testdata/trade.txt"}
	}
	testscript.Run(t, params)
}
