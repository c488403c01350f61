package internal

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// codeSpan is a piece of code in a page.
var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// TestLinesOfTheLog: the handbook says of each warning and error of the log what it means. A
// message may be cut there, with … for the rest.
func TestLinesOfTheLog(t *testing.T) {
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	var exact, begins []string
	for _, span := range codeSpan.FindAllStringSubmatch(string(page), -1) {
		if begin, cut := strings.CutSuffix(span[1], " …"); cut {
			begins = append(begins, begin)
		} else {
			exact = append(exact, span[1])
		}
	}
	said := 0
	for dir, files := range sources(t) {
		if dir == "internal/demo" || dir == "internal/bench" || strings.HasPrefix(dir, "scripts") {
			continue // no server
		}
		for _, file := range files {
			for _, message := range loggedMessages(file.tree) {
				said++
				explained := slices.Contains(exact, message) || slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(message, b) })
				if !explained {
					t.Errorf("%s logs %q, of which docs/operating.md says nothing", file.name, message)
				}
			}
		}
	}
	if said < 50 {
		t.Errorf("%d messages were found, there must be more", said)
	}
}

// loggedMessages returns the messages that a file logs as warnings and errors.
func loggedMessages(tree *ast.File) (all []string) {
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		at := 0
		switch method.Sel.Name {
		case "Warn", "Error":
		case "Log":
			if len(call.Args) < 3 || !isWarning(call.Args[1]) {
				return true
			}
			at = 2
		default:
			return true
		}
		if len(call.Args) <= at {
			return true
		}
		if text, ok := call.Args[at].(*ast.BasicLit); ok && text.Kind == token.STRING {
			if message, err := strconv.Unquote(text.Value); err == nil {
				all = append(all, message)
			}
		}
		return true
	})
	return all
}

// isWarning says whether an expression is the level of warnings or errors.
func isWarning(e ast.Expr) bool {
	level, ok := e.(*ast.SelectorExpr)
	return ok && (level.Sel.Name == "LevelWarn" || level.Sel.Name == "LevelError")
}
