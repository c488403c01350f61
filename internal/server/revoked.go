package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/ticket"
)

// maxRevokedFile bounds the file of revoked tokens, in bytes: as many as there can be, with the
// longest names.
const maxRevokedFile = 32 << 20

// errTokenRevoked: the token with which a viewer watched opens nothing any more.
var errTokenRevoked = errors.New("the token was revoked")

// tokens are those of viewers, as the management API changes them.
type tokens struct{ *Server }

var _ v1.Tokens = tokens{}

// Sign implements v1.Tokens.
func (s tokens) Sign(w ticket.Wanted) (token, id string, err error) {
	return s.now().access.tickets.Sign(w)
}

// Revoke implements v1.Tokens. The other nodes of a cluster hear of it within revokedInterval.
func (s tokens) Revoke(id string, until time.Time) error {
	if err := s.revoke(id, until); err != nil || s.node == nil {
		return err
	}
	if err := s.node.opt.Registry.Revoke(s.ctx, id, until); err != nil {
		return fmt.Errorf("the token is revoked here, and not on the other servers, try again: %w", err)
	}
	return nil
}

// revokedInterval is how often a node asks what was revoked on others.
const revokedInterval = 2 * time.Second

// followRevoked revokes here what is revoked on other nodes, until ctx ends.
func (n *node) followRevoked(ctx context.Context) {
	version := ""
	for {
		all, latest, err := n.opt.Registry.Revoked(ctx, version)
		if err == nil && n.takeRevoked(all) {
			version = latest
		}
		if !pauseFor(ctx, revokedInterval) {
			return
		}
	}
}

// takeRevoked revokes what is not revoked here, and says whether that worked.
func (n *node) takeRevoked(all map[string]time.Time) bool {
	for id, until := range all {
		if n.now().access.tickets.IsRevoked(id) {
			continue
		}
		if err := (tokens{n.Server}).revoke(id, until); err != nil {
			n.log.Error("a token that was revoked on another server is not revoked here", "token", said(id), "err", err)
			return false
		}
	}
	return true
}

// revoke is Revoke for this server alone.
func (s tokens) revoke(id string, until time.Time) error {
	s.reloading.Lock() // a reload takes over what is revoked
	err := s.now().access.tickets.Revoke(id, until)
	s.reloading.Unlock()
	if err != nil {
		return err
	}
	for _, ss := range s.sessions.all(nil) {
		if ss.token == id {
			ss.close(errTokenRevoked)
		}
	}
	return s.saveRevoked()
}

// saveRevoked keeps what is revoked for the next start.
func (s *Server) saveRevoked() error {
	if s.opt.RevokedFile == "" {
		return nil
	}
	s.revoking.Lock()
	defer s.revoking.Unlock()
	text, err := json.Marshal(s.now().access.tickets.Revoked())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.opt.RevokedFile), 0o700); err != nil {
		return err
	}
	part := s.opt.RevokedFile + ".part"
	if err := os.WriteFile(part, text, 0o600); err != nil {
		return err
	}
	return os.Rename(part, s.opt.RevokedFile)
}

// restoreRevoked revokes for a what was revoked before the start. Where that is not known, nobody
// may watch.
func (s *Server) restoreRevoked(a *access) error {
	if s.opt.RevokedFile == "" || !a.guarded {
		return nil
	}
	info, err := os.Stat(s.opt.RevokedFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("revoked tokens: %w", err)
	case info.Size() > maxRevokedFile:
		return fmt.Errorf("revoked tokens: %s has more than %d bytes", s.opt.RevokedFile, maxRevokedFile)
	}
	text, err := os.ReadFile(s.opt.RevokedFile)
	if err != nil {
		return fmt.Errorf("revoked tokens: %w", err)
	}
	var all map[string]time.Time
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("revoked tokens: %s: %w", s.opt.RevokedFile, err)
	}
	for id, until := range all {
		if err := a.tickets.Revoke(id, until); err != nil {
			return fmt.Errorf("revoked tokens: %w", err)
		}
	}
	return nil
}
