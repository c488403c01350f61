//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// guarded is livego whose viewers need a token, which all players show in front of the path.
type guarded struct {
	livego
	// path is what they play, below the address of the port.
	path string
	port func(*measurement) string
}

var _ kind = guarded{}

func flvPort(m *measurement) string { return m.flvAddr }
func hlsPort(m *measurement) string { return m.hlsAddr }

const guardedConfig = `viewer_auth: token
viewer_keys: [{kid: a, algorithm: HS256, secret: 0123456789abcdef0123456789abcdef}]
`

func (k guarded) command(m *measurement, args []string) (*target, error) {
	t, err := k.livego.command(m, args)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(m.dir, "guarded.yaml")
	if err := os.WriteFile(config, []byte(guardedConfig), 0o600); err != nil {
		return nil, err
	}
	token, err := exec.CommandContext(context.Background(), m.livego, "token", "--config_file", config, "--path", "live/*", "--for", "1h").Output()
	if err != nil {
		return nil, fmt.Errorf("livego token: %w", err)
	}
	t.command = append(t.command, "--config_file", config)
	t.load = append(t.load, "--publish", "rtmp://"+m.rtmpAddr+"/live/{key}",
		"--play", "http://"+k.port(m)+"/~"+string(bytes.TrimSpace(token))+k.path)
	return t, nil
}
