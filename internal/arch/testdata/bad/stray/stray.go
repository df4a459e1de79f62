// Package stray has no floor.
package stray
