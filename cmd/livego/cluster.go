package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"livego/internal/cluster"
	"livego/internal/config"
	"livego/internal/server"
)

// nodeFile is the file in data_dir that keeps the name of a node that was not given one.
const nodeFile = "node_id"

// openCluster adds to the options of a server what it needs as a node of a cluster, if it is to be
// one, and returns what to call at the end.
func openCluster(cfg config.Config, o *server.ClusterOptions) (done func() error, err error) {
	if o.Addr == "" {
		return func() error { return nil }, nil
	}
	if o.ID == "" {
		if o.ID, err = keptName(filepath.Join(cfg.DataDir, nodeFile)); err != nil {
			return nil, fmt.Errorf("node_id: %w", err)
		}
	}
	if o.Registry, err = cluster.OpenRedis(cfg.Store.RedisAddr, cfg.Store.RedisPassword, cfg.Store.RedisPrefix); err != nil {
		return nil, fmt.Errorf("redis_addr: %w", err)
	}
	return o.Registry.Close, nil
}

// keptName returns the name in a file, which is made with a new one if it is not there.
func keptName(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		name := strings.ToLower(rand.Text()[:12])
		return name, os.WriteFile(file, []byte(name+"\n"), 0o600)
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(text))
	if err := cluster.CheckID(name); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return name, nil
}
