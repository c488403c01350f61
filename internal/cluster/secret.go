package cluster

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
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

// mac is the code of a request: over what is asked, when and by whom.
func mac(secret []byte, r *http.Request, node string, at int64) []byte {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%s\n%s\n%d\n%s", r.Method, r.URL.RequestURI(), at, node)
	return h.Sum(nil)
}

// Sign lets a request say that it comes from a node.
func (s Secret) Sign(r *http.Request, node string, now time.Time) {
	at := now.Unix()
	r.Header.Set("Authorization", fmt.Sprintf("%snode=%s,ts=%d,mac=%x", scheme, node, at, mac(s[0], r, node, at)))
}

// Check returns the node that a request comes from, or ErrUnauthorized.
func (s Secret) Check(r *http.Request, now time.Time) (node string, err error) {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), scheme)
	if !ok {
		return "", ErrUnauthorized
	}
	var ts, code string
	for field := range strings.SplitSeq(fields, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "node":
			node = value
		case "ts":
			ts = value
		case "mac":
			code = value
		}
	}
	given, badCode := hex.DecodeString(code)
	at, badTime := strconv.ParseInt(ts, 10, 64)
	if badCode != nil || badTime != nil || CheckID(node) != nil {
		return "", ErrUnauthorized
	}
	known := false
	for _, secret := range s {
		known = hmac.Equal(given, mac(secret, r, node, at)) || known
	}
	if age := now.Unix() - at; !known || age > int64(maxSkew/time.Second) || -age > int64(maxSkew/time.Second) {
		return "", ErrUnauthorized
	}
	return node, nil
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
