// Package internal holds no code of its own, only this test of how its packages are cut.
package internal

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "livego/"

// exceptions are the imports allowed between neighbours.
var exceptions = map[string]string{"internal/fanout": "internal/live"}

// place is where a package stands in the map of ARCHITECTURE.md: it imports packages of higher
// layers only. A pure one does no input or output, reads no clock and writes no log.
type place struct {
	layer int
	pure  bool
}

// row is one of the map: layer, whether it is pure, package.
var row = regexp.MustCompile("(?m)^\\| (\\d+)(, pure)? \\| `([^`]+)` \\|")

var (
	impureImports  = []string{"net", "net/http", "os", "os/exec", "syscall", "log", "log/slog"}
	clockFunctions = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
	vagueNames     = []string{"pkg", "util", "utils", "common", "base", "helper", "helpers", "misc"}
)

// TestImports checks that imports point down the map only, and that it has the packages that there
// are.
func TestImports(t *testing.T) {
	places, found := places(t), sources(t)
	for dir := range places {
		if found[dir] == nil {
			t.Errorf("ARCHITECTURE.md has the package %s, which there is not", dir)
		}
	}
	for dir, files := range found {
		here, ok := places[dir]
		if !ok {
			t.Errorf("%s has no place in the map of ARCHITECTURE.md", dir)
		}
		for _, file := range files {
			for _, imported := range imports(file.tree) {
				target, ours := strings.CutPrefix(imported, module)
				if ours && exceptions[dir] != target && places[target].layer <= here.layer {
					t.Errorf("%s imports %s, which is not below it", file.name, target)
				}
			}
		}
	}
}

// places reads the map of ARCHITECTURE.md.
func places(t *testing.T) map[string]place {
	t.Helper()
	page, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]place)
	for _, r := range row.FindAllStringSubmatch(string(page), -1) {
		dir := r[3]
		if !isProgram(dir) {
			dir = "internal/" + dir
		}
		layer, _ := strconv.Atoi(r[1])
		found[dir] = place{layer, r[2] != ""}
	}
	return found
}

// isProgram says that a folder is none of packages to import.
func isProgram(dir string) bool {
	return strings.HasPrefix(dir, "cmd/") || strings.HasPrefix(dir, "scripts/")
}

// TestPurity checks that the packages which only turn bytes into values and back do nothing else.
func TestPurity(t *testing.T) {
	places := places(t)
	for dir, files := range sources(t) {
		if !places[dir].pure {
			continue
		}
		for _, file := range files {
			for _, imported := range imports(file.tree) {
				if slices.Contains(impureImports, imported) {
					t.Errorf("%s imports %s", file.name, imported)
				}
			}
			ast.Inspect(file.tree, func(node ast.Node) bool {
				if name, ok := clockCall(node); ok {
					t.Errorf("%s reads the clock: time.%s", file.name, name)
				}
				return true
			})
		}
	}
}

// TestState checks that no package has state of its own, and that importing one runs no code. What
// measures has its columns and rows in variables.
func TestState(t *testing.T) {
	for dir, files := range sources(t) {
		if strings.HasPrefix(dir, "scripts/") {
			continue
		}
		for _, file := range files {
			for _, declaration := range file.tree.Decls {
				switch d := declaration.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						t.Errorf("%s has an init function", file.name)
					}
				case *ast.GenDecl:
					if d.Tok == token.VAR {
						checkVariables(t, dir, file.name, d)
					}
				}
			}
		}
	}
}

// checkVariables allows error sentinels, embedded files, constant tables, interface checks, and
// what the linker sets in a command.
func checkVariables(t *testing.T, dir, file string, declaration *ast.GenDecl) {
	for _, spec := range declaration.Specs {
		spec := spec.(*ast.ValueSpec)
		if embedded(declaration.Doc) || embedded(spec.Doc) {
			continue
		}
		for i, name := range spec.Names {
			lower := strings.ToLower(name.Name)
			switch {
			case name.Name == "_", strings.HasPrefix(lower, "err"):
			case strings.HasPrefix(dir, "cmd/") && name.Name == "version":
			case i < len(spec.Values) && isTable(spec.Values[i]):
			default:
				t.Errorf("%s has the package variable %s", file, name.Name)
			}
		}
	}
}

// TestNames checks that each package is called after what it does, and says so.
func TestNames(t *testing.T) {
	for dir, files := range sources(t) {
		if slices.Contains(vagueNames, path.Base(dir)) {
			t.Errorf("%s: the name says nothing", dir)
		}
		documented := slices.ContainsFunc(files, func(f source) bool { return f.tree.Doc != nil })
		if !documented {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

type source struct {
	name string
	tree *ast.File
}

// sources parses all files of the module's packages but the tests, whatever system they are for, by
// folder.
func sources(t *testing.T) map[string][]source {
	t.Helper()
	files := token.NewFileSet()
	found := map[string][]source{}
	for _, root := range []string{"cmd", "internal", "scripts"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && entry.Name() == "testdata" {
				return fs.SkipDir
			}
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return nil
			}
			tree, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			name = strings.TrimPrefix(filepath.ToSlash(name), "../")
			found[path.Dir(name)] = append(found[path.Dir(name)], source{name, tree})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func imports(tree *ast.File) (paths []string) {
	for _, spec := range tree.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, imported)
		}
	}
	return paths
}

func clockCall(node ast.Node) (string, bool) {
	selector, ok := node.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	from, ok := selector.X.(*ast.Ident)
	return selector.Sel.Name, ok && from.Name == "time" && slices.Contains(clockFunctions, selector.Sel.Name)
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// isTable says whether the value is written out: a map, a slice, an array, or bytes from a string
// constant.
func isTable(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit:
		switch v.Type.(type) {
		case *ast.ArrayType, *ast.MapType:
			return true
		}
	case *ast.CallExpr:
		_, slice := v.Fun.(*ast.ArrayType)
		return slice && len(v.Args) == 1 && isLiteral(v.Args[0])
	}
	return false
}

func isLiteral(value ast.Expr) bool {
	_, ok := value.(*ast.BasicLit)
	return ok
}

// references are what code and tests cite, and where it stands.
var references = []struct {
	cites *regexp.Regexp
	page  string
	// entry is how the page begins what is cited.
	entry *regexp.Regexp
}{
	{regexp.MustCompile(`[Dd]ecisions? (\d+)`), "docs/decisions.md", regexp.MustCompile(`^(\d+)\. `)},
	{regexp.MustCompile(`[Dd]efects? (\d+)|TestDefect0*(\d+)`), "docs/livego-behaviour.md", regexp.MustCompile(`^(\d+)\. `)},
	{regexp.MustCompile(`[Ss]pec (\d+(?:\.\d+)?)`), "docs/livego-behaviour.md", regexp.MustCompile(`^(?:#+ )?(\d+(?:\.\d+)?)\.? `)},
}

// TestReferences checks that what code and tests cite by number stands in the project's own pages.
func TestReferences(t *testing.T) {
	all := texts(t)
	for _, r := range references {
		page, err := os.ReadFile(filepath.Join("..", r.page))
		if err != nil {
			t.Fatal(err)
		}
		entries := map[string]bool{}
		for line := range strings.Lines(string(page)) {
			if match := r.entry.FindStringSubmatch(line); match != nil {
				entries[match[1]] = true
			}
		}
		for name, text := range all {
			for _, match := range r.cites.FindAllStringSubmatch(text, -1) {
				number := cmp.Or(match[1:]...)
				if section, defect, ok := strings.Cut(number, "."); ok && section == "7" {
					number = defect // section 7 numbers the defects
				}
				if !entries[number] {
					t.Errorf("%s cites %q, which %s does not have", name, match[0], r.page)
				}
			}
		}
	}
}

// texts returns the Go files of the module.
func texts(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, root := range []string{"cmd", "internal", "e2e", "scripts"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && entry.Name() == "node_modules" {
				return cmp.Or(err, fs.SkipDir)
			}
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "internal/arch_test.go") {
				return nil
			}
			text, err := os.ReadFile(name)
			found[strings.TrimPrefix(filepath.ToSlash(name), "../")] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
