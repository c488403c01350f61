// Package hook tells other systems by HTTP what happens in the server, and asks them what may
// happen.
//
// Deliveries follow Standard Webhooks: a JSON body, the headers webhook-id, webhook-timestamp and
// webhook-signature, so that receivers check them with libraries that exist. Nothing in the server
// ever waits for a delivery.
package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTimeout = 2 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes: a decision with its reason.
	maxAnswer = 64 << 10
	// maxReason bounds the reason that a receiver gives, in bytes: encoders show one line.
	maxReason = 200
	// secretPrefix is how Standard Webhooks marks a secret in base64.
	secretPrefix = "whsec_"
	// minSecret is the least length of a secret, in bytes (Standard Webhooks asks for 24 to 64).
	minSecret = 24
)

// Errors of configuration.
var (
	ErrBadURL    = errors.New("not an absolute http or https URL")
	ErrBadSecret = fmt.Errorf("a hook secret has at least %d bytes, or whsec_ and base64", minSecret)
)

// Secret signs deliveries.
type Secret []byte

// ParseSecret reads a secret as Standard Webhooks write it (whsec_ and base64), or as plain text.
func ParseSecret(text string) (Secret, error) {
	secret := Secret(text)
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, ErrBadSecret
		}
	}
	if len(secret) < minSecret {
		return nil, ErrBadSecret
	}
	return secret, nil
}

// CheckURL says whether hooks can be sent to an address.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ErrBadURL
	}
	return nil
}

// sign returns the value of webhook-signature: one signature for each secret, so that receivers can
// change theirs one after the other.
func sign(secrets []Secret, id string, at int64, body []byte) string {
	var all []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		_, _ = fmt.Fprintf(mac, "%s.%d.", id, at)
		_, _ = mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// newClient returns a client that follows no redirects: a receiver that moved is an error to mend,
// and a redirect to an address inside the network is an attack.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newTransport keeps few connections to few receivers.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = maxWorkers
	t.MaxResponseHeaderBytes = maxAnswer
	return t
}

// answer is what a receiver said.
type answer struct {
	status int
	body   []byte
}

// post sends one signed message and returns the answer.
func post(ctx context.Context, client *http.Client, address, id string, body []byte, secrets []Secret, now time.Time) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, ErrBadURL
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "livego")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(secrets) > 0 {
		r.Header.Set("Webhook-Signature", sign(secrets, id, now.Unix(), body))
	}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, withoutURL(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{}, withoutURL(err)
	}
	if len(text) > maxAnswer {
		return answer{}, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return answer{response.StatusCode, text}, nil
}

// withoutURL leaves the address out of an error: it may hold a password.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Redact returns an address as logs may show it.
func Redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(bad URL)"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
