// Package config turns command line flags, the environment and a file into the options of the
// server.
//
// Stronger sources win: a flag over the environment, the environment over the file, the file over
// the default. One table (options.go) says for every option how it is called, what it defaults to
// and what it means; the flags, the environment, the file reader, the help text and the sample file
// all follow from it. The package holds no state: everything comes in through Sources.
package config

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"livego/internal/keys"
	"livego/internal/server"
	"livego/internal/ticket"
)

// Config is a checked configuration. Each row of the table is bound to one field: of the server's
// options, which those of its packages are part of, or of what the program itself needs. A field
// holds what its row says, without a turn of the sign; where 0 is none in the table, it is in the
// field. The defaults are those of the table. However it is printed, there are no secrets in it.
type Config struct {
	// File is the configuration file that was read, empty if none was.
	File string

	Level     slog.Level
	LogFormat string
	// DataDir holds what the server keeps, each thing in a file or folder of its own.
	DataDir string
	// Options are those of the server. Apps of it is empty until ServerOptions.
	server.Options
	// Store are the options of the store of channel keys.
	Store keys.Options
	// EveryApp has what holds for each app that does not say otherwise.
	EveryApp server.App
	Apps     []App

	raw *written
}

// written are the options as they were written, by key. Once loaded it never changes. A Config
// points to it, so that its secrets are not printed with one.
type written map[string]string

// Format prints all options, without secrets, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.LogValue()) }

// MarshalText does so for encoders.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.LogValue().String()), nil }

// KeysFile is where the channel keys are stored when no Redis is configured.
func (c Config) KeysFile() string { return filepath.Join(c.DataDir, "livego.db") }

// LogValue lists all options, without secrets.
func (c Config) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(options)+2)
	attrs = append(attrs, slog.String("file", c.File))
	for _, o := range options {
		attrs = append(attrs, slog.String(o.key, o.bind(&c).print()))
	}
	names := make([]string, len(c.Apps))
	for i, app := range c.Apps {
		names[i] = app.Name
	}
	attrs = append(attrs, slog.String("server", strings.Join(names, ",")))
	return slog.GroupValue(attrs...)
}

// CheckFiles loads the certificates and the keys for viewers' tokens that the configuration needs,
// so that a bad one is reported under the option's name.
func (c Config) CheckFiles() error {
	made := len(c.ACME.Domains) > 0 // certificates are made
	pairs := []struct {
		needed              bool
		certFile, keyFile   string
		needs, cert, keyKey string
	}{
		{!made && (c.RTMPTLS || c.RTMPSAddr != ""), c.RTMPSCert, c.RTMPSKey, "enable_rtmps or rtmps_addr", "rtmps_cert", "rtmps_key"},
		{c.Cluster.Cert != "", c.Cluster.Cert, c.Cluster.Key, "TLS between the servers", "cluster_cert", "cluster_key"},
		{!made && (c.HTTPSAddr != "" || c.HLSTLS || c.FLVTLS), c.HTTPSCert, c.HTTPSKey, "https_addr, use_hls_https or use_flv_https", "https_cert", "https_key"},
	}
	for _, p := range pairs {
		if !p.needed {
			continue
		}
		if _, err := tls.LoadX509KeyPair(p.certFile, p.keyFile); err != nil {
			return fmt.Errorf("%s needs the PEM files of %s and %s: %w", p.needs, p.cert, p.keyKey, err)
		}
	}
	if _, err := ticket.New(c.Tickets); err != nil {
		return fmt.Errorf("viewer_keys: %w", err)
	}
	return nil
}
