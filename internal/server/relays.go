package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"livego/internal/api"
	"livego/internal/flv"
	"livego/internal/hls"
	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/relay"
	"livego/internal/rtmp"
)

// openRelays makes the relays, without starting any.
func (s *Server) openRelays() {
	s.relays = relay.New(relay.Options{
		Log: s.log, Events: s.events, Subscribe: s.awaited, Fanout: s.fanout, Publish: s.publishRelay, Body: flv.AppendBody,
		VerifyTLS: s.opt.VerifyTLS, Save: s.saveRelays, Path: s.relayPath,
	})
}

// awaited returns a stream that is to be pushed; at a node of a cluster also that of another one.
// It is not brought on demand, as nobody watches it.
func (s *Server) awaited(ctx context.Context, name live.Name, wait time.Duration) (*live.Publication, error) {
	if s.node != nil {
		return s.node.awaited(ctx, name, wait)
	}
	return s.hub.Subscribe(ctx, name, wait)
}

// pullProtocol begins the protocol's name of what is pulled.
const pullProtocol = "pull-"

// publishRelay takes a stream on air that is pulled.
func (s *Server) publishRelay(ctx context.Context, r relay.Relay, remote string, passed []string, end func(error)) (relay.Sink, error) {
	scheme, _, _ := strings.Cut(r.URL, "://")
	return s.publish(ctx, permit{name: live.Name{App: r.App, Stream: r.Stream}}, origin{
		path: passed, protocol: pullProtocol + scheme, remote: remote, url: scheme + "://" + remote, client: "pull", close: end,
	}, s.log.With("protocol", pullProtocol+scheme, "remote", remote))
}

// outputPush pushes the streams of apps that have static_push. Renditions with a name are not
// pushed.
func (s *Server) outputPush(pub *live.Publication) func(context.Context) error {
	name := pub.Name()
	app, _ := s.app(name.App)
	if len(app.StaticPush) == 0 || name.Rendition != "" {
		return nil
	}
	return func(ctx context.Context) error {
		var begun []func(elsewhere bool)
		for _, url := range app.StaticPush {
			r := relay.Relay{Direction: relay.Push, App: name.App, Stream: name.Stream, URL: strings.TrimRight(url, "/") + "/" + name.Stream}
			switch letGo, err := s.relays.Share(r); {
			case err == nil:
				begun = append(begun, letGo)
			case !errors.Is(err, relay.ErrRunning):
				s.log.Error("static_push cannot be", "stream", name.String(), "err", err)
			}
		}
		elsewhere := false
		select {
		case <-pub.Done():
		case <-ctx.Done():
			if s.outCtx.Err() != nil {
				return nil // the end of the server ends all relays
			}
			elsewhere = true // the stream has another home, which pushes it
		}
		for _, letGo := range begun {
			letGo(elsewhere)
		}
		return nil
	}
}

// StartRelay implements api.Relays.
func (s *Server) StartRelay(ctx context.Context, direction, app, name, url string) error {
	return s.startRelay(ctx, &relay.Relay{Direction: relay.Direction(direction), App: app, Stream: name, URL: url})
}

// startRelay begins a relay, which becomes the one that lists show. Its errors are those of
// api.Relays.
func (s *Server) startRelay(ctx context.Context, r *relay.Relay) error {
	if err := s.checkRelay(ctx, r); err != nil {
		return fmt.Errorf("%w: %w", api.ErrRelayURL, err)
	}
	if s.node != nil && s.node.othersRelay(*r) {
		return api.ErrRelayRunning
	}
	err := s.relays.Try(ctx, *r)
	switch {
	case errors.Is(err, relay.ErrBadURL):
		return fmt.Errorf("%w: %w", api.ErrRelayURL, err)
	case errors.Is(err, relay.ErrRunning), errors.Is(err, relay.ErrTooMany):
		return fmt.Errorf("%w: %w", api.ErrRelayRunning, err)
	}
	return err
}

// StopRelay implements api.Relays.
func (s *Server) StopRelay(direction, app, name, _ string) error {
	// LiveGo knows one relay for a stream and direction, whatever the URL says that stops it.
	r := relay.Relay{Direction: relay.Direction(direction), App: app, Stream: name}
	s.roomOfKey(context.Background(), &r)
	if _, err := s.relays.Stop(r); err != nil {
		return api.ErrNoRelay
	}
	return nil
}

// RelayList implements api.Relays.
func (s *Server) RelayList() any {
	list := s.relays.List()
	for i := range list {
		list[i].URL = relay.Shown(list[i].URL)
	}
	return list
}

var _ api.Relays = (*Server)(nil)

// checkRelay says whether a relay can be. A channel key in place of the room's name stands for its
// room, as in LiveGo.
func (s *Server) checkRelay(ctx context.Context, r *relay.Relay) error {
	app, ok := s.app(r.App)
	switch {
	case !ok:
		return fmt.Errorf("application %.64q is not configured", r.App)
	case !app.Live:
		return fmt.Errorf("application %.64q is switched off", r.App)
	}
	s.roomOfKey(ctx, r)
	room, err := keys.CanonicalName(r.Stream)
	if err != nil {
		return err
	}
	r.Stream = room
	if err := relay.Check(*r); err != nil {
		return err
	}
	if s.leadsHere(ctx, r) {
		return errLoop
	}
	return nil
}

// roomOfKey replaces a channel key by the name of its room.
func (s *Server) roomOfKey(ctx context.Context, r *relay.Relay) {
	if room, ok := s.roomOf(ctx, r.Stream); ok {
		r.Stream = room
	}
}

// roomOf returns the room of a channel key.
func (s *Server) roomOf(ctx context.Context, key string) (string, bool) {
	if !keys.WellFormed(key) {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	lease, err := s.opt.Keys.Lease(ctx, key)
	if err != nil {
		return "", false
	}
	lease.Release()
	return lease.Room, true
}

// leadsHere says whether a relay's URL is that of its own stream on this server.
func (s *Server) leadsHere(ctx context.Context, r *relay.Relay) bool {
	if strings.HasPrefix(r.URL, "http") {
		return s.servesHere(r)
	}
	u, err := rtmp.ParseURL(r.URL)
	if err != nil {
		return false
	}
	_, port, _ := net.SplitHostPort(u.Addr)
	if !s.listensOn(port, "rtmp", "rtmps") || !isLocal(u.Host) || u.App != r.App {
		return false
	}
	name, _, _ := strings.Cut(u.Name, "?")
	room, ok := s.roomOf(ctx, name)
	return name == r.Stream || ok && room == r.Stream
}

// servesHere says whether the HTTP URL of a pull is that of its own stream on this server.
func (s *Server) servesHere(r *relay.Relay) bool {
	u, err := url.Parse(r.URL)
	if err != nil || !isLocal(u.Hostname()) {
		return false
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	if !s.listensOn(port, "http-flv", "hls", "https") {
		return false
	}
	rest, _ := withoutPrefix(&http.Request{URL: u})
	name := cmp.Or(hls.StreamName(rest.URL.Path), strings.TrimSuffix(strings.Trim(rest.URL.Path, "/"), ".flv"))
	return name == r.App+"/"+r.Stream
}

// listensOn says whether one of some protocols is spoken on a port here.
func (s *Server) listensOn(port string, protocols ...string) bool {
	for _, l := range s.listeners {
		if _, ours, _ := net.SplitHostPort(l.Addr().String()); ours == port && slices.Contains(protocols, l.Name) {
			return true
		}
	}
	return false
}

// isLocal says whether a host is an address of this machine, as far as it says so itself.
func isLocal(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}

// maxRelaysFile bounds the file of relays, in bytes.
const maxRelaysFile = 16 << 20

// saveRelays keeps the relays that do not stand in the configuration for the next start. They hold
// keys of other servers, so that nobody else may read them.
func (s *Server) saveRelays(all []relay.Relay) {
	if s.opt.RelaysFile == "" {
		return
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		part := s.opt.RelaysFile + ".part"
		if err = os.WriteFile(part, append(text, '\n'), 0o600); err == nil {
			err = os.Rename(part, s.opt.RelaysFile)
		}
	}
	if err != nil {
		s.log.Error("relays are not kept for the next start", "file", filepath.Base(s.opt.RelaysFile), "err", err)
	}
}

// restoreRelays begins the relays of the life before.
func (s *Server) restoreRelays() {
	if s.opt.RelaysFile == "" {
		return
	}
	info, err := os.Stat(s.opt.RelaysFile)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var all []relay.Relay
	if err == nil && info.Size() > maxRelaysFile {
		err = fmt.Errorf("it has more than %d bytes", maxRelaysFile)
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(s.opt.RelaysFile); err == nil {
			err = json.Unmarshal(text, &all)
		}
	}
	if err != nil {
		s.log.Error("relays of the last run cannot be read", "file", filepath.Base(s.opt.RelaysFile), "err", err)
		return
	}
	for _, r := range all {
		if err := s.relays.Start(r, false); err != nil {
			s.log.Error("relay of the last run cannot be", "relay", r.String(), "err", err)
		}
	}
}
