// Package market keeps to the rules.
package market

type Book struct{}
