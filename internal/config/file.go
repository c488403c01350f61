package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// serverKey is the list of apps in the file.
const serverKey = "server"

// parseFile reads YAML, of which JSON is a part, node by node, because only nodes know their lines.
func (l *loader) parseFile(name string, data []byte) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF): // nothing but comments
		return
	case err != nil:
		l.syntax(name, err)
		return
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		l.problem(name, "holds a second document; remove the line --- and what follows")
		return
	}
	f := fileReader{loader: l, name: name}
	root := resolve(document.Content[0])
	if root.Kind != yaml.MappingNode && root.ShortTag() != "!!null" {
		l.problem(f.at(root), "is not a list of options; write one option a line, such as rtmp_addr: \":1935\" (with a space after the colon)")
		return
	}
	f.mapping(root, "", f.topLevel)
}

// syntax reports text that is not YAML. The library's own message of an unknown anchor would repeat
// the value, perhaps a password.
func (l *loader) syntax(name string, err error) {
	parts := regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`).FindStringSubmatch(err.Error())
	line, message := "1", err.Error()
	if parts != nil {
		message = parts[2]
		if parts[1] != "" {
			line = parts[1]
		}
	}
	if strings.Contains(message, "unknown anchor") {
		l.problem(name, "a value that begins with * must stand in quotes")
		return
	}
	l.problem(name+":"+line, "is not valid YAML: %s; look at this line and the one before for a missing quote, bracket, space after a colon, or a tab", message)
}

// fileReader walks the nodes of one file.
type fileReader struct {
	*loader
	name string
}

func (f *fileReader) at(n *yaml.Node) string { return f.name + ":" + strconv.Itoa(n.Line) }

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// mapping hands each entry to the function, refusing keys that come twice. Keys are read in any
// case, as LiveGo did.
func (f *fileReader) mapping(n *yaml.Node, parent string, entry func(key, val *yaml.Node, name string)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], resolve(n.Content[i+1])
		name := parent + strings.ToLower(key.Value)
		if line, twice := seen[name]; twice {
			f.problem(f.at(key), "%s stands twice, first on line %d; remove one", name, line)
			continue
		}
		seen[name] = key.Line
		entry(key, val, name)
	}
}

func (f *fileReader) topLevel(key, val *yaml.Node, name string) {
	switch {
	case name == serverKey:
		f.apps(key, val)
	case isParent(name):
		f.group(key, val, name)
	default:
		f.option(key, val, name)
	}
}

// isParent says whether options lie in a mapping of this name (jwt).
func isParent(name string) bool {
	return slices.ContainsFunc(options, func(o option) bool { return strings.HasPrefix(o.key, name+".") })
}

func (f *fileReader) group(key, val *yaml.Node, name string) {
	if val.ShortTag() == "!!null" {
		return // all its lines are commented out
	}
	if val.Kind != yaml.MappingNode {
		f.problem(f.at(key), "%s must hold its options on lines of their own, indented by two spaces", name)
		return
	}
	f.mapping(val, name+".", f.option)
}

func (f *fileReader) option(key, val *yaml.Node, name string) {
	o, ok := find(name)
	if !ok {
		f.problem(f.at(key), "%s", unknownKey(name, optionKeys()))
		return
	}
	raw, err := f.raw(val, o.bind(&f.cfg).kind)
	if err != nil {
		f.problem(f.at(val), "%s: %v, for example %s", name, err, example(o))
		return
	}
	f.set(o, raw, f.at(val))
}

// example shows the option as it would stand in the file.
func example(o option) string {
	leaf := o.key[strings.LastIndexByte(o.key, '.')+1:]
	return leaf + ": " + o.yaml()
}

// yaml is the default as it stands in the file.
func (o option) yaml() string {
	switch o.bind(new(Config)).kind {
	case kindText, kindSecret, kindAddress, kindWord:
		if isPlain(o.def) {
			return o.def
		}
		return strconv.Quote(o.def)
	case kindYAML:
		return "[]"
	case kindList:
		if o.def != "" {
			return "[" + strconv.Quote(o.def) + "]"
		}
		return "[]"
	}
	return o.def
}

// isPlain says whether a default reads as a text without quotes.
func isPlain(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.") == "" && s[0] >= 'A'
}

// raw returns what is written for an option, as a flag would have it. YAML's idea of the type must
// fit: what it reads as a number or a truth value is not a text, as other readers of the file would
// lose leading zeros or turn "off" into false.
func (f *fileReader) raw(n *yaml.Node, want kind) (string, error) {
	switch want {
	case kindList:
		return list(n)
	case kindYAML:
		text, err := yaml.Marshal(n)
		return string(text), err
	}
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("must be one %s, not a list or mapping", want)
	}
	tag := n.ShortTag()
	if tag == "!!null" {
		return "", errors.New("has no value; remove the line for the default, or give one")
	}
	switch want {
	case kindBool:
		if tag != "!!bool" && tag != "!!str" {
			return "", errors.New("must be true or false")
		}
		if n.Value == "" {
			return "", errors.New("is empty; write true or false")
		}
	case kindWord:
		return n.Value, nil
	case kindNumber, kindDuration, kindSize:
		if tag != "!!int" && tag != "!!str" {
			return "", fmt.Errorf("%s is not a %s", n.Value, want)
		}
	case kindAddress:
		if tag == "!!int" {
			return "", fmt.Errorf(`%s is only a port, write ":%s"`, n.Value, n.Value)
		}
		fallthrough
	default:
		return n.Value, isText(n, want == kindSecret)
	}
	return n.Value, nil
}

// isText refuses a plain scalar that some reader of YAML takes for something else.
func isText(n *yaml.Node, hidden bool) error {
	if n.ShortTag() == "!!str" && (n.Style != 0 || !isTruthWord(n.Value)) {
		return nil
	}
	if hidden {
		return errors.New("is not a text to YAML; put it in quotes")
	}
	return fmt.Errorf("%s without quotes is not a text to YAML, write %q", n.Value, n.Value)
}

// isTruthWord knows the words that YAML 1.1 reads as booleans and YAML 1.2 as texts.
func isTruthWord(s string) bool {
	return slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(s))
}

// list joins a sequence of texts, or takes one text for a list of one.
func list(n *yaml.Node) (string, error) {
	switch {
	case n.ShortTag() == "!!null":
		return "", nil
	case n.Kind == yaml.ScalarNode:
		return n.Value, isText(n, false)
	case n.Kind != yaml.SequenceNode:
		return "", errors.New("must be a list")
	}
	items := make([]string, len(n.Content))
	for i, item := range n.Content {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode {
			return "", errors.New("must be a list of texts")
		}
		if err := isText(item, false); err != nil {
			return "", err
		}
		items[i] = item.Value
	}
	return strings.Join(items, ","), nil
}

func optionKeys() []string {
	keys := []string{serverKey}
	for _, o := range options {
		keys = append(keys, o.key)
	}
	return keys
}
