// Command souk is Souk: a server of the exchange, and a trader's tool.
package main

import (
	"os"

	"souk/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
