package config

import (
	"livego/internal/bucket"
	"livego/internal/record"
)

// recordPath is the first element of the URLs of recordings, which no app can have then.
const recordPath = "rec"

// recordTo is a folder or a bucket.
func recordTo(p *string) value {
	v := text(p)
	v.parse = func(s string) error {
		if _, err := bucket.Open(s); err != nil {
			return err
		}
		*p = s
		return nil
	}
	return v
}

// recordName is a template for the names of recordings.
func recordName(p *record.Template) value {
	parse := func(s string) error {
		t, err := record.ParseTemplate(s)
		if err != nil {
			return err
		}
		*p = t
		return nil
	}
	return value{kindText, parse, func() string { return p.String() }}
}

// checkRecord checks that what is to be recorded is packaged.
func (l *loader) checkRecord() {
	any := l.cfg.EveryApp.Record != record.Off
	for _, app := range l.cfg.Apps {
		if app.Record == "" || app.Record == record.Off {
			continue
		}
		any = true
		if !app.HLS {
			l.problem(l.origin["record"], "app %q is to be recorded, but has no HLS: set hls: true in its entry of server", app.Name)
		}
	}
	if !any {
		return
	}
	if !l.cfg.HLS.CMAF || l.cfg.HLSAddr == "" {
		l.problem(l.origin["record"], "record needs hls_cmaf and hls_addr: what is recorded are the segments of Low-Latency HLS")
	}
	for _, app := range l.cfg.Apps {
		if app.Name == recordPath {
			l.problem(l.origin["record"], "an app cannot be called %s while something is recorded: the URLs of recordings begin with it", recordPath)
		}
	}
}
