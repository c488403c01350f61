package v1

import (
	"encoding/base64"
	"net/http"
	"slices"
	"sort"
	"strings"
)

// Paging is what all lists take.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Most entries of the answer."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"The next of the answer before, to go on behind it."`
}

// List is what there is of something, in a cluster at all nodes.
type List[T any] struct {
	// Items are in any order. Who asked owns the slice.
	Items []T
	// Incomplete are the nodes that did not say in time what they have.
	Incomplete []string
}

// only returns the list of those that pick picks.
func (l List[T]) only(pick func(T) bool) List[T] {
	l.Items = slices.DeleteFunc(l.Items, func(item T) bool { return !pick(item) })
	return l
}

// find returns the first that pick picks, and whether there is one.
func (l List[T]) find(pick func(T) bool) (item T, ok bool) {
	if i := slices.IndexFunc(l.Items, pick); i >= 0 {
		return l.Items[i], true
	}
	return item, false
}

// Page is a part of a list.
type Page[T any] struct {
	Items      []T      `json:"items" nullable:"false"`
	Next       string   `json:"next,omitempty" doc:"The cursor of the next page; not there on the last one."`
	Incomplete []string `json:"incomplete,omitempty" doc:"Nodes of the cluster that did not say in time what they have, so that it is missing." example:"node-2"`
}

// Listing is the answer with a page.
type Listing[T any] struct{ Body Page[T] }

// cursorTo is a cursor of a list behind a key. Callers must not look into it.
func cursorTo(list, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + key))
}

// after returns the key that a cursor stands behind, empty without cursor.
func (p Paging) after(list string) (string, error) {
	if p.Cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	key, ok := strings.CutPrefix(string(text), list+"\x00")
	if err != nil || !ok {
		return "", problem(http.StatusUnprocessableEntity, "query.cursor", "this is no cursor of this list: take the next of an answer, or none")
	}
	return key, nil
}

// page cuts a page out of a whole list, which it sorts by key. Keys differ.
func page[T any](p Paging, list string, l List[T], key func(T) string) (*Listing[T], error) {
	after, err := p.after(list)
	if err != nil {
		return nil, err
	}
	all := l.Items
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if p.Cursor != "" {
		all = all[sort.Search(len(all), func(i int) bool { return key(all[i]) > after }):]
	}
	out := new(Listing[T])
	out.Body.Items, out.Body.Incomplete = append([]T{}, all[:min(len(all), p.Limit)]...), l.Incomplete
	if len(all) > p.Limit {
		out.Body.Next = cursorTo(list, key(all[p.Limit-1]))
	}
	return out, nil
}
