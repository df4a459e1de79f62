package arch

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
)

// checked is a type-checked package of the module.
type checked struct {
	pkg  *types.Package
	info *types.Info
	err  error // the first type error
}

// checkPure reports what an import list does not show: floats, goroutines,
// channels, the order of maps, variables that outlive a call, and recovered
// panics. sound tells that the package's imports are fine, so that types are known.
func (t *tree) checkPure(name string, sound bool) {
	c := t.check(name)
	if c.err != nil && sound {
		t.report(token.NoPos, name, "does not type-check: "+c.err.Error())
	}
	for _, src := range t.packages[name] {
		p := purity{tree: t, checked: c, source: src}
		ast.Inspect(src.file, p.visit)
	}
}

// check type-checks a folder of the module, and what it imports, once.
func (t *tree) check(name string) *checked {
	if c, ok := t.checked[name]; ok {
		return c
	}
	c := &checked{info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{},
		Defs:  map[*ast.Ident]types.Object{},
		Uses:  map[*ast.Ident]types.Object{},
	}}
	t.checked[name] = c // before the imports, so that a cycle ends
	var files []*ast.File
	for _, src := range t.packages[name] {
		files = append(files, src.file)
	}
	if len(files) == 0 {
		return c
	}
	config := types.Config{
		Importer: t,
		Error: func(err error) {
			if c.err == nil {
				c.err = err
			}
		},
	}
	// The error is the first that was handed to config.Error.
	c.pkg, _ = config.Check(t.policy.Module+"/"+name, t.fset, files, c.info)
	return c
}

// Import implements types.Importer.
func (t *tree) Import(imported string) (*types.Package, error) {
	return t.ImportFrom(imported, t.root, 0)
}

// ImportFrom implements types.ImporterFrom: packages of the module come from the
// tree, all others from their sources, without function bodies. What no pure
// package may import is taken to be empty; reading it could take a minute.
func (t *tree) ImportFrom(imported, _ string, mode types.ImportMode) (*types.Package, error) {
	if name, ours := strings.CutPrefix(imported, t.policy.Module+"/"); ours {
		if rule, ok := t.policy.rule(name); !ok || !rule.Pure {
			return empty(imported), nil
		}
		if c := t.check(name); c.pkg != nil {
			return c.pkg, nil
		}
		return nil, fmt.Errorf("no package in %s, or an import cycle", name)
	}
	if !slices.Contains(t.policy.PureStd, imported) && !hasPrefix(t.policy.PureLibraries, imported) {
		return empty(imported), nil
	}
	if t.outside == nil {
		t.outside = importer.ForCompiler(t.fset, "source", nil)
	}
	if from, ok := t.outside.(types.ImporterFrom); ok {
		return from.ImportFrom(imported, t.root, mode)
	}
	return t.outside.Import(imported)
}

func empty(imported string) *types.Package {
	pkg := types.NewPackage(imported, path.Base(imported))
	pkg.MarkComplete()
	return pkg
}

// purity inspects one file of a pure package.
type purity struct {
	tree    *tree
	checked *checked
	source  source
	calls   []*ast.CallExpr // enclosing calls, innermost last
	nodes   []ast.Node      // enclosing nodes, innermost last
}

func (p *purity) report(n ast.Node, text string) {
	p.tree.report(n.Pos(), p.source.path, text)
}

func (p *purity) visit(n ast.Node) bool {
	if n == nil {
		last := p.nodes[len(p.nodes)-1]
		p.nodes = p.nodes[:len(p.nodes)-1]
		if _, ok := last.(*ast.CallExpr); ok {
			p.calls = p.calls[:len(p.calls)-1]
		}
		return true
	}
	switch n := n.(type) {
	case *ast.GoStmt:
		p.report(n, "starts a goroutine")
	case *ast.SelectStmt:
		p.report(n, "waits on channels")
	case *ast.RangeStmt:
		if isMap(p.checked.info.TypeOf(n.X)) {
			p.report(n, "ranges over a map; use slices.Sorted(maps.Keys(m))")
		}
	case *ast.AssignStmt:
		for _, left := range n.Lhs {
			p.checkWrite(left)
		}
	case *ast.IncDecStmt:
		p.checkWrite(n.X)
	case *ast.Ident:
		p.checkUse(n)
	}
	if x, ok := n.(ast.Expr); ok {
		p.checkType(x)
	}
	p.nodes = append(p.nodes, n)
	if call, ok := n.(*ast.CallExpr); ok {
		p.calls = append(p.calls, call)
	}
	return true
}

// checkType reports expressions, and type expressions, that are floats or channels.
// Untyped constants such as 1e9 are exact and become integers where they are used.
func (p *purity) checkType(x ast.Expr) {
	typ := p.checked.info.TypeOf(x)
	if typ == nil {
		return
	}
	switch u := typ.Underlying().(type) {
	case *types.Basic:
		if u.Info()&(types.IsFloat|types.IsComplex) != 0 && u.Info()&types.IsUntyped == 0 {
			p.report(x, "uses a float")
		}
	case *types.Chan:
		p.report(x, "uses a channel")
	}
}

// checkUse reports functions that give away the order of a map or hide a panic.
func (p *purity) checkUse(id *ast.Ident) {
	used := p.checked.info.Uses[id]
	if used == nil {
		return
	}
	if used == types.Universe.Lookup("recover") {
		p.report(id, "recovers from a panic; a broken invariant must halt the replica")
	}
	if used.Pkg() == nil || used.Pkg().Path() != "maps" {
		return
	}
	switch used.Name() {
	case "Keys", "Values":
		if !p.sorted() {
			p.report(id, "takes the order of a map; use slices.Sorted(maps."+used.Name()+"(m))")
		}
	case "All", "DeleteFunc", "EqualFunc":
		p.report(id, "takes the order of a map; use slices.Sorted(maps.Keys(m))")
	}
}

// sorted tells whether the call being visited is the argument of slices.Sorted.
func (p *purity) sorted() bool {
	if len(p.calls) < 2 {
		return false
	}
	selector, ok := p.calls[len(p.calls)-2].Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	outer := p.checked.info.Uses[selector.Sel]
	return outer != nil && outer.Pkg() != nil && outer.Pkg().Path() == "slices" && outer.Name() == "Sorted"
}

// checkWrite reports an assignment to a package variable or a part of one: state
// belongs to a value, so that two replicas can live in one process.
func (p *purity) checkWrite(left ast.Expr) {
	for {
		switch x := left.(type) {
		case *ast.SelectorExpr:
			if v, ok := p.checked.info.Uses[x.Sel].(*types.Var); ok && isPackageVariable(v) {
				p.report(left, "writes the package variable "+v.Name())
				return
			}
			left = x.X
		case *ast.IndexExpr:
			left = x.X
		case *ast.StarExpr:
			left = x.X
		case *ast.ParenExpr:
			left = x.X
		case *ast.SliceExpr:
			left = x.X
		case *ast.Ident:
			if v, ok := p.checked.info.Uses[x].(*types.Var); ok && isPackageVariable(v) {
				p.report(left, "writes the package variable "+v.Name())
			}
			return
		default:
			return
		}
	}
}

func isPackageVariable(v *types.Var) bool {
	return v.Pkg() != nil && v.Parent() == v.Pkg().Scope()
}

// isMap tells whether a type is a map, or a type parameter that may be one.
func isMap(typ types.Type) bool {
	if typ == nil {
		return false
	}
	if parameter, ok := typ.(*types.TypeParam); ok {
		constraint, ok := parameter.Constraint().Underlying().(*types.Interface)
		return ok && slices.ContainsFunc(terms(constraint), isMap)
	}
	_, ok := typ.Underlying().(*types.Map)
	return ok
}

// terms lists the types named in a constraint.
func terms(constraint *types.Interface) []types.Type {
	var list []types.Type
	for i := range constraint.NumEmbeddeds() {
		switch e := constraint.EmbeddedType(i).(type) {
		case *types.Union:
			for j := range e.Len() {
				list = append(list, e.Term(j).Type())
			}
		default:
			if inner, ok := e.Underlying().(*types.Interface); ok {
				list = append(list, terms(inner)...)
			} else {
				list = append(list, e)
			}
		}
	}
	return list
}
