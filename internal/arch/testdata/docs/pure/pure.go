// Package pure obeys M-2 but not M-3.
package pure
