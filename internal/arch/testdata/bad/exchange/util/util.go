// Package util is named for nothing.
package util
