package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"livego/internal/api"
	v1 "livego/internal/api/v1"
	"livego/internal/fmp4"
	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/relay"
)

// openAPI makes the management API.
func (s *Server) openAPI() {
	show := s.opt.ShowConfig
	if show == nil {
		show = func() v1.Config { return v1.Config{Options: []v1.Option{}, Apps: []v1.App{}} }
	}
	var elsewhere func() v1.Follower
	if s.opt.Cluster.Addr != "" {
		elsewhere = func() v1.Follower { return s.node.newFollower() }
	}
	s.resources = v1.New(v1.Options{
		Streams: resources{s}, Sessions: resources{s}, Nodes: resources{s}, Relays: resources{s}, Tokens: tokens{s}, Recordings: resources{s}, Keys: s.opt.Keys, Config: show, Reload: s.reloadConfig,
		Listeners: s.mediaPorts,
		Version:   v1.Version{Version: s.opt.Version, Go: runtime.Version(), Started: time.Now().UTC()},
		Events:    s.events, Elsewhere: elsewhere, Log: s.log,
	})
}

// resources is what the management API shows and changes.
type resources struct{ *Server }

var (
	_ v1.Streams  = resources{}
	_ v1.Sessions = resources{}
	_ v1.Nodes    = resources{}
	_ v1.Relays   = resources{}
)

// Streams implements v1.Streams.
func (s resources) Streams() v1.List[v1.Stream] {
	if s.node != nil {
		return s.node.allStreams()
	}
	return v1.List[v1.Stream]{Items: s.streamsHere()}
}

// streamsHere are the streams that are at this node, also those of other ones.
func (s resources) streamsHere() (all []v1.Stream) {
	of := make(map[string][]*live.Publication)
	for _, p := range s.hub.Publications() {
		key := p.Name().Key()
		of[key] = append(of[key], p)
	}
	hls := s.HLSViewers()
	for name, publications := range of {
		all = append(all, s.stream(name, publications, hls[name]))
	}
	return all
}

// Stream implements v1.Streams.
func (s resources) Stream(name string) (v1.Stream, bool) {
	if s.node == nil {
		return s.streamHere(name)
	}
	all := s.node.allStreams().Items
	i := slices.IndexFunc(all, func(st v1.Stream) bool { return st.Name == name })
	if i < 0 {
		return v1.Stream{}, false
	}
	return all[i], true
}

func (s resources) streamHere(name string) (v1.Stream, bool) {
	app, room, _ := strings.Cut(name, "/")
	publications := s.hub.Renditions(live.Name{App: app, Stream: room})
	if len(publications) == 0 {
		return v1.Stream{}, false
	}
	seen, _ := s.hls.Outlook(name)
	return s.stream(name, publications, seen.Viewers), true
}

// stream describes one with its publications.
func (s resources) stream(name string, publications []*live.Publication, hls int) v1.Stream {
	st := v1.Stream{Name: name, State: stateOf(publications), Publications: []v1.Publication{}}
	for _, p := range publications {
		if begun := p.Begun().UTC(); st.Since.IsZero() || begun.Before(st.Since) {
			st.Since = begun
		}
		described := s.publication(p)
		st.BitRate += described.BitRate
		st.Publications = append(st.Publications, described)
	}
	st.Viewers.ByProtocol, st.Viewers.BitRate = s.sessions.audienceOf(name), s.sessions.bitRateTo(name)
	if hls > 0 {
		st.Viewers.ByProtocol["hls"] = hls
	}
	for _, n := range st.Viewers.ByProtocol {
		st.Viewers.Total += n
	}
	return st
}

// stateOf is the state of a stream in the API's words.
func stateOf(publications []*live.Publication) string {
	switch {
	case !slices.ContainsFunc(publications, (*live.Publication).OnAir):
		return "interrupted"
	case !slices.ContainsFunc(publications, settled):
		return "starting"
	}
	return "live"
}

// publication describes one, and who feeds it.
func (s resources) publication(p *live.Publication) v1.Publication {
	d := v1.Publication{Rendition: p.Name().Rendition, Tracks: []v1.Track{}}
	for _, t := range p.Tracks() {
		d.Tracks = append(d.Tracks, describe(t))
	}
	ss := s.sessions.publisherOf(p)
	if ss == nil {
		return d
	}
	f, up := ss.figures(), time.Since(ss.Start)
	video, audio := ss.kbps()
	d.Encoder = ss.agent
	if name := ss.encoder.Load(); name != nil { // metadata is more to the point than flashVer, in which encoders pretend to be Flash
		d.Encoder = *name
	}
	d.Address, d.Protocol, d.Session = ss.RemoteAddr, ss.Protocol, ss.ID
	d.Uptime, d.Bytes, d.BitRate = up.Round(time.Millisecond).Seconds(), f.video+f.audio, (video+audio)*1000
	d.MeanBitRate = uint64(float64(d.Bytes*8) / max(up.Seconds(), 1))
	d.FrameRate, d.GOP, d.KeyFrameInterval = ss.gauge.frameRate(), int(ss.gauge.gop.Load()), time.Duration(ss.gauge.keyInterval.Load()).Seconds()
	d.TimeJumps, d.ClockDrift = f.jumps, ss.gauge.clockDrift()
	for _, f := range ss.gauge.faultsSoFar() {
		d.Faults = append(d.Faults, v1.Fault{Kind: f.Kind.String(), Track: f.Track, What: f.What, Times: f.times})
	}
	return d
}

// describe says what a track is.
func describe(t *media.Track) v1.Track {
	d := v1.Track{
		Kind: t.Kind.String(), ID: t.ID, Codec: codecName(t), Profile: profileOf(t), Codecs: fmp4.Codecs(t), FrameRate: fmp4.FrameRate(t),
		SampleRate: t.SampleRate, Channels: t.Channels,
	}
	d.Width, d.Height = fmp4.Resolution(t)
	return d
}

// The names of profiles, by the numbers in the codecs' headers.
var (
	// ISO/IEC 14496-10, Annex A.
	profilesH264 = map[byte]string{66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2", 244: "High 4:4:4 Predictive"}
	// ISO/IEC 23008-2, A.3.
	profilesHEVC = map[byte]string{1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions"}
	// AV1 Bitstream Specification, A.2.
	profilesAV1 = map[byte]string{0: "Main", 1: "High", 2: "Professional"}
	// ISO/IEC 14496-3, table 1.17.
	profilesAAC = map[byte]string{1: "Main", 2: "LC", 5: "HE-AAC", 29: "HE-AAC v2", 42: "xHE-AAC"}
)

// profileOf names the profile of a track, empty where its header does not say.
func profileOf(t *media.Track) string {
	if !t.Parsed || len(t.Config) < 2 {
		return ""
	}
	switch t.Codec {
	case media.H264: // ISO/IEC 14496-15, 5.3.3.1: AVCProfileIndication
		return profilesH264[t.Config[1]]
	case media.HEVC: // 8.3.3.1: general_profile_idc
		return profilesHEVC[t.Config[1]&0x1f]
	case media.AV1: // AV1 Codec ISO Media File Format Binding, 2.3.3: seq_profile
		return profilesAV1[t.Config[1]>>5]
	case media.AAC: // ISO/IEC 14496-3, 1.6.2.1: audioObjectType
		kind := t.Config[0] >> 3
		if kind == 31 {
			kind = 32 + (t.Config[0]&7)<<3 | t.Config[1]>>5
		}
		return profilesAAC[kind]
	}
	return ""
}

// EndStream implements v1.Streams.
func (s resources) EndStream(name, why string) bool {
	if s.node != nil {
		if done, away := s.node.endAway(name, why); away {
			return done
		}
	}
	return s.endHere(name, why)
}

func (s resources) endHere(name, why string) bool {
	app, room, _ := strings.Cut(name, "/")
	publications := s.hub.Renditions(live.Name{App: app, Stream: room})
	for _, p := range publications {
		p.Evict(because(errEnded, why))
	}
	return len(publications) > 0
}

// because adds an operator's reason to a cause.
func because(cause error, why string) error {
	if why == "" {
		return cause
	}
	return fmt.Errorf("%w: %s", cause, why)
}

// Sessions implements v1.Sessions.
func (s resources) Sessions() v1.List[v1.Session] {
	if s.node != nil {
		return everywhere(s.node, s.node.sessionParts(), sessionsPath)
	}
	return v1.List[v1.Session]{Items: s.sessionsHere()}
}

func (s resources) sessionsHere() (all []v1.Session) {
	for _, ss := range s.sessions.all(nil) {
		f := ss.figures()
		video, audio := ss.kbps()
		d := v1.Session{
			ID: ss.ID, Stream: ss.Key, Rendition: ss.Rendition, Role: "viewer", Protocol: ss.Protocol, Address: ss.RemoteAddr, Agent: ss.agent,
			Since: ss.Start.UTC(), Bytes: f.video + f.audio, BitRate: (video + audio) * 1000, Lag: f.behind.Round(time.Millisecond).Seconds(), Jumps: f.jumps,
		}
		if ss.Publisher {
			d.Role = "publisher"
		}
		all = append(all, d)
	}
	return all
}

// Kick implements v1.Sessions.
func (s resources) Kick(id, why string) bool {
	return s.kickHere(id, why) || s.node != nil && s.node.haveAll(kickPath, url.Values{"id": {id}, "reason": {why}})
}

func (s resources) kickHere(id, why string) bool {
	for _, ss := range s.sessions.all(nil) {
		if ss.ID == id {
			ss.close(because(errKicked, why))
			return true
		}
	}
	return false
}

// Relays implements v1.Relays.
func (s resources) Relays() v1.List[v1.Relay] {
	if s.node != nil {
		return everywhere(s.node, s.relaysHere(), relaysPath)
	}
	return v1.List[v1.Relay]{Items: s.relaysHere()}
}

func (s resources) relaysHere() (all []v1.Relay) {
	for _, st := range s.relays.List() {
		all = append(all, s.shownRelay(st))
	}
	return all
}

// nodeID names this node of a cluster; it is empty for a server alone.
func (s *Server) nodeID() string {
	if s.node == nil {
		return ""
	}
	return s.node.opt.ID
}

func (s resources) shownRelay(st relay.Status) v1.Relay {
	return v1.Relay{
		Node: s.nodeID(),
		ID:   relayID(st.Relay), Stream: st.App + "/" + st.Stream, Direction: string(st.Direction), URL: relay.Shown(st.URL),
		State: string(st.State), Since: st.Since.UTC(), Error: st.Error, Tries: st.Tries, Bytes: st.Bytes, Skipped: st.Skipped, Static: st.Static,
	}
}

// relayID names a relay without what is secret in its URL.
func relayID(r relay.Relay) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(r.Direction), r.App, r.Stream, r.URL}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// StartRelay implements v1.Relays.
func (s resources) StartRelay(ctx context.Context, direction, stream, url string) (v1.Relay, error) {
	app, name, _ := strings.Cut(stream, "/")
	r := relay.Relay{Direction: relay.Direction(direction), App: app, Stream: name, URL: url}
	err := s.startRelay(ctx, &r)
	switch {
	case errors.Is(err, keys.ErrBadRoom):
		return v1.Relay{}, err
	case errors.Is(err, api.ErrRelayURL):
		return v1.Relay{}, fmt.Errorf("%w: %w", v1.ErrBadRelay, err)
	case errors.Is(err, api.ErrRelayRunning):
		return v1.Relay{}, v1.ErrRelayRunning
	case err != nil:
		return v1.Relay{}, err
	}
	for _, st := range s.relays.List() {
		if st.Relay == r {
			return s.shownRelay(st), nil
		}
	}
	return s.shownRelay(relay.Status{Relay: r, State: relay.Waiting, Since: time.Now()}), nil // it was ended meanwhile
}

// StopRelay implements v1.Relays.
func (s resources) StopRelay(id string) bool {
	stopped := s.stopRelayHere(id)
	return s.node != nil && s.node.haveAll(unrelayPath, url.Values{"id": {id}}) || stopped
}

func (s resources) stopRelayHere(id string) bool {
	for _, st := range s.relays.List() {
		if relayID(st.Relay) == id {
			_, err := s.relays.Stop(st.Relay)
			return err == nil
		}
	}
	return false
}
