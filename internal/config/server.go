package config

import (
	"path/filepath"

	"livego/internal/server"
)

// ServerOptions returns the options of the server: those that were read, with what follows from
// them, such as the files below DataDir and the apps. Log, Version, Keys and the registry of a
// cluster are left to the caller.
func (c Config) ServerOptions() server.Options {
	o := c.Options
	o.ACME.Cache = filepath.Join(c.DataDir, "acme")
	o.Rewind.Dir = filepath.Join(c.DataDir, "hls")
	o.HLSLedger = filepath.Join(c.DataDir, "hls.ledger")
	o.RelaysFile = filepath.Join(c.DataDir, "relays.json")
	o.RevokedFile = filepath.Join(c.DataDir, "revoked.json")
	o.Record.Dir = filepath.Join(c.DataDir, "record")
	o.HLS.ReturnWait = c.Live.Grace                        // who published to a former process comes back within that
	o.MediaOrigins = append([]string{}, c.MediaOrigins...) // not nil, which stands for all
	if o.Cluster.Addr == "" {
		o.Cluster = server.ClusterOptions{}
	}
	o.Apps = make([]server.App, len(c.Apps))
	for i, a := range c.Apps {
		o.Apps[i] = c.complete(a)
	}
	return o
}
