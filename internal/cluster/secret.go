package cluster

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// MinSecret is the least length of a secret, in bytes.
	MinSecret = 32
	// maxSkew is how far the time in a request may be from ours.
	maxSkew = 30 * time.Second
	// scheme begins the header Authorization of requests between nodes.
	scheme = "Livego v1 "
	// maxID bounds the name of a node, in bytes.
	maxID = 64
)

// ErrUnauthorized: a request does not come from a node with our secret, or not from now.
var ErrUnauthorized = errors.New("the request is not that of a node of this cluster")

// Secret is what the nodes of a cluster share. With several, while nodes change to a new one, the
// first signs and each is accepted.
type Secret [][]byte

// ParseSecret reads secrets with commas between them.
func ParseSecret(text string) (Secret, error) {
	var s Secret
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); len(one) < MinSecret {
			return nil, fmt.Errorf("each secret needs %d bytes or more (openssl rand -hex 32)", MinSecret)
		}
		s = append(s, []byte(one))
	}
	return s, nil
}

// mac is the code of a request: over what is asked, whom, when, by whom, and a number that is used
// once.
func mac(secret []byte, r *http.Request, node, to, nonce string, at int64) []byte {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%s\n%s\n%d\n%s\n%s\n%s", r.Method, r.URL.RequestURI(), at, node, to, nonce)
	return h.Sum(nil)
}

// Sign lets a request to a node say that it comes from another one.
func (s Secret) Sign(r *http.Request, node, to string, now time.Time) {
	at, nonce := now.Unix(), rand.Text()
	r.Header.Set("Authorization", fmt.Sprintf("%snode=%s,ts=%d,nonce=%s,mac=%x", scheme, node, at, nonce, mac(s[0], r, node, to, nonce, at)))
}

// Check returns the node that a request to a node comes from, and the code that no other request
// has, or ErrUnauthorized. Who takes no request twice remembers the code for codeLife.
func (s Secret) Check(r *http.Request, to string, now time.Time) (node, id string, err error) {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), scheme)
	if !ok {
		return "", "", ErrUnauthorized
	}
	var ts, code, nonce string
	for field := range strings.SplitSeq(fields, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "node":
			node = value
		case "ts":
			ts = value
		case "nonce":
			nonce = value
		case "mac":
			code = value
		}
	}
	given, badCode := hex.DecodeString(code)
	at, badTime := strconv.ParseInt(ts, 10, 64)
	if badCode != nil || badTime != nil || CheckID(node) != nil {
		return "", "", ErrUnauthorized
	}
	known := false
	for _, secret := range s {
		known = hmac.Equal(given, mac(secret, r, node, to, nonce, at)) || known
	}
	if age := now.Unix() - at; !known || age > int64(maxSkew/time.Second) || -age > int64(maxSkew/time.Second) {
		return "", "", ErrUnauthorized
	}
	return node, string(given), nil
}

// codeLife is for how long a request is accepted at most: by a clock that is behind as by one that
// is ahead.
const codeLife = 2*maxSkew + time.Second

// maxCodes bounds the requests of the last minute that are remembered, at some 100 bytes each.
const maxCodes = 1 << 16

// codes remembers requests that were accepted, so that none is twice. Its methods may be called
// from any goroutine. The zero value is ready.
type codes struct {
	mu   sync.Mutex
	seen map[string]struct{}
	// order are those of seen, the oldest first.
	order []codeSeen
}

type codeSeen struct {
	id string
	at time.Time
}

// accept remembers a request. It is false if it was there before, or if there are too many.
func (c *codes) accept(id string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := 0
	for old < len(c.order) && now.Sub(c.order[old].at) > codeLife {
		delete(c.seen, c.order[old].id)
		old++
	}
	c.order = c.order[old:]
	if _, twice := c.seen[id]; twice || len(c.order) >= maxCodes {
		return false
	}
	if c.seen == nil {
		c.seen = make(map[string]struct{})
	}
	c.seen[id] = struct{}{}
	c.order = append(c.order, codeSeen{id, now})
	return true
}

// CheckID says whether a node may have a name: 1 to 64 letters, digits, ".", "_" and "-" of ASCII.
func CheckID(id string) error {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool {
		return r != '.' && r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return fmt.Errorf("the name of a node has to be 1 to %d letters, digits, dots, _ and -", maxID)
	}
	return nil
}
