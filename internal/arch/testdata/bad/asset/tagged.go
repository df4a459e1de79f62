//go:build fast // want "has a build constraint"

package asset
