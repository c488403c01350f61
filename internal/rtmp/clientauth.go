package rtmp

import (
	"context"
	"crypto/md5" // as the scheme has it
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Servers that ask publishers for user and password refuse connect, and say in the description how
// they want them: by Adobe's scheme, or by that of Limelight, which is close to HTTP Digest (RFC
// 2617). The client connects anew with its name, is refused with a challenge, and connects again
// with the answer.

// ErrAuth: the server asks for user and password in a way that is not known here, or does not take
// those of the URL.
var ErrAuth = errors.New("rtmp authentication failed")

// authRounds is how many connections an authentication takes at most.
const authRounds = 3

// dialAuth connects, and authenticates if the server wants that.
func dialAuth(ctx context.Context, u URL, opt ClientOptions) (*Client, error) {
	var c *Client
	var err error
	query := ""
	for range authRounds {
		if c, err = dialOnce(ctx, u.withAuth(query), opt); err == nil {
			return c, nil
		}
		var status *StatusError
		if u.User == "" || !errors.As(err, &status) {
			return nil, err
		}
		if query, err = nextAuth(u, status.Description, newNonce()); err != nil {
			return nil, fmt.Errorf("rtmp connect to %s: %w", u.Addr, err)
		}
	}
	return nil, fmt.Errorf("rtmp connect to %s: %w", u.Addr, ErrAuth)
}

// withAuth adds a query to the app.
func (u URL) withAuth(query string) URL {
	if query == "" {
		return u
	}
	mark := "?"
	if strings.Contains(u.App, "?") {
		mark = "&"
	}
	u.App, u.TCURL = u.App+mark+query, u.TCURL+mark+query
	return u
}

// nextAuth reads what a server wants and returns the query with which to connect next.
func nextAuth(u URL, description, nonce string) (query string, err error) {
	scheme := ""
	for _, known := range []string{"adobe", "llnw"} {
		if strings.Contains(description, "authmod="+known) {
			scheme = known
		}
	}
	if scheme == "" {
		return "", fmt.Errorf("%w: %.200q", ErrAuth, description)
	}
	_, challenge, challenged := strings.Cut(description, "?")
	values := authValues(challenge)
	reason := values["reason"]
	switch {
	case reason == "authfailed" || reason == "nosuchuser":
		return "", fmt.Errorf("%w: %s", ErrAuth, reason)
	case !challenged || reason != "needauth":
		return "authmod=" + scheme + "&user=" + url.QueryEscape(u.User), nil
	}
	if scheme == "adobe" {
		return answerAdobe(u.User, u.Password, values, nonce), nil
	}
	return answerLimelight(u.User, u.Password, u.App, values, nonce), nil
}

// authValues reads a=b&c=d. Values are in base64 and may end in =, and are not escaped.
func authValues(text string) map[string]string {
	values := make(map[string]string)
	for pair := range strings.SplitSeq(text, "&") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		value, _, _ = strings.Cut(value, " ")
		values[name] = value
	}
	return values
}

func answerAdobe(user, password string, said map[string]string, nonce string) string {
	secret := md5Base64(user + said["salt"] + password)
	query := "authmod=adobe&user=" + url.QueryEscape(user) + "&challenge=" + nonce
	if opaque := said["opaque"]; opaque != "" {
		return query + "&response=" + md5Base64(secret+opaque+nonce) + "&opaque=" + opaque
	}
	return query + "&response=" + md5Base64(secret+said["challenge"]+nonce)
}

func answerLimelight(user, password, app string, said map[string]string, nonce string) string {
	const count, quality = "00000001", "auth"
	path := "/" + app
	if !strings.Contains(app, "/") {
		path += "/_definst_"
	}
	secret := md5Hex(user + ":live:" + password)
	what := md5Hex("publish:" + path)
	answer := md5Hex(strings.Join([]string{secret, said["nonce"], count, nonce, quality, what}, ":"))
	return "authmod=llnw&user=" + url.QueryEscape(user) + "&nonce=" + said["nonce"] + "&cnonce=" + nonce + "&nc=" + count + "&response=" + answer
}

func md5Base64(text string) string {
	sum := md5.Sum([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// newNonce returns eight hexadecimal digits, as encoders send.
func newNonce() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
