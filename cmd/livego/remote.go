package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"livego/internal/api"
	v1 "livego/internal/api/v1"
	"livego/internal/auth"
	"livego/internal/config"
)

const (
	// apiTimeout bounds one call of the server's API; the key storage may be a Redis that is slow
	// to fail.
	apiTimeout = 10 * time.Second
	// tokenLife covers one call.
	tokenLife = time.Minute
	// maxAnswer bounds the answer to one call, in bytes: a page of 1,000 streams.
	maxAnswer = 16 << 20
)

// errNoServer: nothing listens on the API's address.
var errNoServer = errors.New("no server runs")

// remote is the API of a running server.
type remote struct {
	base   string
	token  string // empty without jwt.secret
	client *http.Client
}

// remoteKeys are the channel keys of a running server.
type remoteKeys struct{ remote }

var _ api.Keys = remoteKeys{}

// findServer looks whether a server answers where the configuration puts its API.
func findServer(ctx context.Context, cfg config.Config) (remote, error) {
	r, err := serverOf(cfg)
	if err != nil {
		return r, err
	}
	return r, r.probe(ctx)
}

// serverOf is the server whose API the configuration names. Proxies of the environment are not
// used.
func serverOf(cfg config.Config) (remote, error) {
	if cfg.APIAddr == "" {
		return remote{}, errors.New("api_addr is empty: the server has no API that could be asked")
	}
	host, port, err := net.SplitHostPort(cfg.APIAddr)
	if err != nil {
		return remote{}, fmt.Errorf("api_addr: %w", err)
	}
	r := remote{
		base:   "http://" + net.JoinHostPort(loopback(host), port),
		client: &http.Client{Timeout: apiTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	if cfg.API.Secret != "" {
		if r.token, err = auth.NewToken(cfg.API.Secret, cfg.API.Algorithm, tokenLife); err != nil {
			return r, err
		}
	}
	return r, nil
}

// loopback returns the host under which this machine reaches a listener.
func loopback(host string) string {
	addr, err := netip.ParseAddr(cmp.Or(host, "0.0.0.0"))
	switch {
	case err != nil || !addr.IsUnspecified():
		return host
	case addr.Is4():
		return "127.0.0.1"
	}
	return "::1"
}

// probe tells a livego from no server and from another program on its port.
func (r remote) probe(ctx context.Context) error {
	status, body, err := r.send(ctx, http.MethodGet, "/healthz", nil)
	var noAnswer *net.OpError
	if errors.As(err, &noAnswer) && noAnswer.Op == "dial" {
		return errNoServer
	}
	var health struct{ Status string }
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &health) != nil || health.Status != "ok" {
		return fmt.Errorf("what answers at %s is not a livego; is api_addr right?", r.base)
	}
	return nil
}

// resource calls the management API and decodes its answer into out.
func (r remote) resource(ctx context.Context, method, path string, out any) error {
	status, body, err := r.send(ctx, method, v1.Prefix+path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		var problem struct{ Detail string }
		if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
			return fmt.Errorf("the server's answer with status %d is not one of the API", status)
		}
		return errors.New(problem.Detail)
	}
	return json.Unmarshal(body, out)
}

func (r remoteKeys) Get(ctx context.Context, room string) (string, error) {
	return r.call(ctx, "get", url.Values{"room": {room}})
}

func (r remoteKeys) Set(ctx context.Context, room, key string) error {
	_, err := r.call(ctx, "set", url.Values{"room": {room}, "key": {key}})
	return err
}

func (r remoteKeys) Reset(ctx context.Context, room string, keep bool) (string, error) {
	return r.call(ctx, "reset", url.Values{"room": {room}, "kick": {kick(keep)}})
}

func (r remoteKeys) Delete(ctx context.Context, room string, keep bool) error {
	_, err := r.call(ctx, "delete", url.Values{"room": {room}, "kick": {kick(keep)}})
	return err
}

func kick(keep bool) string {
	if keep {
		return "0"
	}
	return "1"
}

// call returns the text in the envelope of an endpoint under /control, or it as an error.
func (r remoteKeys) call(ctx context.Context, operation string, form url.Values) (string, error) {
	status, body, err := r.send(ctx, http.MethodPost, "/control/"+operation, form)
	if err != nil {
		return "", err
	}
	var envelope struct{ Data string }
	if err := json.Unmarshal(body, &envelope); err != nil {
		return "", fmt.Errorf("the server's answer with status %d is not one of the API", status)
	}
	if status != http.StatusOK {
		return "", errors.New(envelope.Data)
	}
	return envelope.Data, nil
}

func (r remote) send(ctx context.Context, method, path string, form url.Values) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, body, err
}
