package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	v1 "livego/internal/api/v1"
)

// statusInterval is the time between two screens of --watch.
const statusInterval = time.Second

func newStatusCommand(p program) *cobra.Command {
	var watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what is on air at the server that runs here",
		Long: "Shows what is on air at the server on this machine: streams, viewers, bit rates, encoders; of a cluster, those of all nodes. --watch\n" +
			"shows it anew each second, until it is interrupted. --json writes one JSON document, with --watch one a line: version, and streams\n" +
			"and nodes as in /api/v1.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := writeStatus
			if asJSON {
				show = writeStatusJSON
			}
			for {
				// Each look finds the server anew: a token is good for a minute only.
				r, err := p.running(cmd)
				if err != nil {
					return err
				}
				now, err := statusOf(cmd.Context(), r)
				if err != nil {
					return err
				}
				var screen bytes.Buffer
				show(&screen, now)
				if watch && !asJSON {
					fmt.Fprint(p.stdout, clearScreen)
				}
				if _, err := screen.WriteTo(p.stdout); err != nil || !watch {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(statusInterval):
				}
			}
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it anew each second")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// clearScreen moves to the first column of the first line and clears what follows (ECMA-48: CUP,
// ED).
const clearScreen = "\x1b[H\x1b[J"

// status is what the status command shows.
type status struct {
	Address string      `json:"address"`
	Version v1.Version  `json:"version"`
	Streams []v1.Stream `json:"streams"`
	// Nodes are those of the cluster, if there is one.
	Nodes []v1.Node `json:"nodes,omitempty"`
}

// statusOf asks a server for all of it.
func statusOf(ctx context.Context, r remote) (status, error) {
	s := status{Address: r.base, Streams: []v1.Stream{}}
	if err := r.resource(ctx, http.MethodGet, "/version", &s.Version); err != nil {
		return s, err
	}
	if err := listOf(ctx, r, "/streams", &s.Streams); err != nil {
		return s, err
	}
	return s, listOf(ctx, r, "/nodes", &s.Nodes)
}

// listOf adds all entries of a list to all.
func listOf[T any](ctx context.Context, r remote, list string, all *[]T) error {
	for path := list + "?limit=1000"; path != ""; {
		var page v1.Page[T]
		if err := r.resource(ctx, http.MethodGet, path, &page); err != nil {
			return err
		}
		*all = append(*all, page.Items...)
		if path = ""; page.Next != "" {
			path = list + "?limit=1000&cursor=" + page.Next
		}
	}
	return nil
}

func writeStatusJSON(w io.Writer, s status) { _ = json.NewEncoder(w).Encode(s) }

// writeStatus writes one screen for people.
func writeStatus(w io.Writer, s status) {
	viewers, in, out := 0, uint64(0), uint64(0)
	for _, st := range s.Streams {
		viewers, in, out = viewers+st.Viewers.Total, in+st.BitRate, out+st.Viewers.BitRate
	}
	fmt.Fprintf(w, "livego %s at %s, up %s\n%d streams, %d viewers, in %s, out %s (without HLS)\n", plainText(s.Version.Version), s.Address,
		upTime(time.Since(s.Version.Started)), len(s.Streams), viewers, bitRate(in), bitRate(out))
	writeNodes(w, s.Nodes)
	if len(s.Streams) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nSTREAM\tSTATE\tVIEWERS\tBIT RATE\tVIDEO\tAUDIO\tKEY FRAMES\tUP\tENCODER")
	if s.Nodes != nil {
		fmt.Fprint(t, "\tNODE")
	}
	fmt.Fprintln(t)
	for _, st := range s.Streams {
		for i, p := range st.Publications {
			name, state, watching := st.Name, st.State, fmt.Sprint(st.Viewers.Total)
			if i > 0 {
				state, watching = "", ""
			}
			if p.Rendition != "" {
				name += "?" + p.Rendition
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", plainText(name), state, watching, bitRate(p.BitRate), videoOf(p), audioOf(p), keyFrames(p),
				upTime(time.Duration(p.Uptime*float64(time.Second))), plainText(p.Encoder))
			if s.Nodes != nil {
				fmt.Fprint(t, "\t", plainText(st.Node))
			}
			fmt.Fprintln(t)
		}
	}
	_ = t.Flush()
}

// writeNodes writes a table of the nodes of a cluster.
func writeNodes(w io.Writer, nodes []v1.Node) {
	if len(nodes) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nNODE\tSTATE\tREGION\tLOAD\tVIEWERS\tSTREAMS\tUP\tVERSION\tADDRESS")
	for _, n := range nodes {
		id, up := plainText(n.ID), upTime(time.Since(n.Started))
		if n.Self {
			id += " *"
		}
		if n.State == "gone" {
			up = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f %%\t%d\t%d\t%s\t%s\t%s\n", id, plainText(n.State), plainText(n.Region), n.Load*100, n.Viewers, n.Streams, up,
			plainText(n.Version), plainText(n.Address))
	}
	_ = t.Flush()
}

// videoOf describes the first track of video.
func videoOf(p v1.Publication) string {
	for _, t := range p.Tracks {
		if t.Kind == "video" {
			text := plainText(t.Codec)
			if t.Width > 0 {
				text += fmt.Sprintf(" %dx%d", t.Width, t.Height)
			}
			if p.FrameRate > 0 {
				text += fmt.Sprintf(" %.0f/s", p.FrameRate)
			}
			return text
		}
	}
	return "-"
}

// audioOf describes the first track of audio.
func audioOf(p v1.Publication) string {
	for _, t := range p.Tracks {
		if t.Kind == "audio" {
			return plainText(t.Codec)
		}
	}
	return "-"
}

func keyFrames(p v1.Publication) string {
	if p.KeyFrameInterval == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", p.KeyFrameInterval)
}

// bitRate writes bit/s for people.
func bitRate(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f Gbit/s", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f Mbit/s", float64(n)/1e6)
	}
	return fmt.Sprintf("%d kbit/s", n/1000)
}

// upTime writes a duration in its two largest units.
func upTime(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// maxCell bounds a text in the table, in characters.
const maxCell = 48

// plainText is a text of a stranger as a terminal may show it: without controls, which a terminal
// obeys, and cut.
func plainText(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > maxCell {
		text = string([]rune(text)[:maxCell-1]) + "…"
	}
	return text
}
