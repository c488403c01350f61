package hlscheck

import (
	"strings"
	"time"
)

// maxDiscontinuity bounds the discontinuity sequence: hls.js copies an array with an element for
// each number up to it.
const maxDiscontinuity = 1e7

// onceOnly are the tags that a media playlist may have one of (RFC 8216bis 4.4).
var onceOnly = []string{
	"EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-ENDLIST",
	"EXT-X-SERVER-CONTROL", "EXT-X-PART-INF", "EXT-X-SKIP", "EXT-X-I-FRAMES-ONLY", "EXT-X-INDEPENDENT-SEGMENTS",
}

// leastVersions are the versions that tags need (RFC 8216bis 8).
var leastVersions = map[string]int{"EXT-X-SKIP": 9, "EXT-X-GAP": 8, "EXT-X-BYTERANGE": 4, "EXT-X-I-FRAMES-ONLY": 4, "EXTINF": 3}

// form checks one playlist, or delta update, by itself.
func (c *Checker) form(p *playlist) {
	for _, tag := range onceOnly {
		c.check(p.tags[tag] <= 1, "4.4", "%d tags %s", p.tags[tag], tag)
	}
	c.versions(p)
	c.check(p.tags["EXT-X-TARGETDURATION"] == 1 && p.target > 0, "4.4.3.1", "no target duration")
	c.check(p.discontinue < maxDiscontinuity, "livego", "discontinuity sequence %d: hls.js keeps an array of that length", p.discontinue)
	c.check(p.tags["EXT-X-PLAYLIST-TYPE"] == 0, "6.2.2", "a live playlist has a type")
	for _, s := range p.segments {
		c.check(s.duration.Round(time.Second) <= time.Duration(p.target)*time.Second, "4.4.3.1", "segment %d lasts %v, target duration %d s", s.msn, s.duration, p.target)
		c.check(s.duration > 0, "4.4.4.1", "segment %d has no duration", s.msn)
		c.check(!p.framesOnly() || s.gap || s.byterange != "", "4.4.3.6", "segment %d is no range of a file", s.msn)
		c.check(s.init != "" || s.gap || p.skipped > 0 || !isFragment(s.uri), "4.4.4.5", "segment %d has no EXT-X-MAP", s.msn)
	}
	c.control(p)
	c.parts(p)
	c.hints(p)
}

func isFragment(uri string) bool {
	return strings.HasSuffix(uri, ".m4s") || strings.HasSuffix(uri, ".mp4")
}

func (c *Checker) versions(p *playlist) {
	least := 1
	for tag, version := range leastVersions {
		if p.tags[tag] > 0 {
			least = max(least, version)
		}
	}
	if p.tags["EXT-X-MAP"] > 0 {
		least = max(least, 5)
		if !p.framesOnly() {
			least = max(least, 6)
		}
	}
	if p.recentlyRemoved {
		least = max(least, 10)
	}
	c.check(max(p.version, 1) >= least, "8", "version %d has tags of version %d", p.version, least)
}

// control checks EXT-X-SERVER-CONTROL.
func (c *Checker) control(p *playlist) {
	target := time.Duration(p.target) * time.Second
	atLeast := func(name string, least time.Duration) {
		text, ok := p.control[name]
		if !ok {
			return
		}
		d, err := seconds(text)
		c.check(err == nil && d >= least, "4.4.3.8", "%s=%s, at least %v is needed", name, text, least)
	}
	atLeast("CAN-SKIP-UNTIL", 6*target)
	atLeast("HOLD-BACK", 3*target)
	atLeast("PART-HOLD-BACK", 3*p.partTarget)
	if p.lowLatency() {
		c.check(p.control["PART-HOLD-BACK"] != "", "4.4.3.8", "parts without PART-HOLD-BACK")
		c.check(p.control["CAN-BLOCK-RELOAD"] == "YES", "B.1", "parts without blocking reload")
	}
}

// parts checks the durations of parts (RFC 8216bis 4.4.4.9) and where they are listed.
func (c *Checker) parts(p *playlist) {
	if p.tags["EXT-X-PART"] == 0 {
		return
	}
	c.check(p.tags["EXT-X-PART-INF"] == 1 && p.partTarget > 0, "4.4.3.7", "parts without a part target duration")
	for _, s := range p.all() {
		sum, wide := time.Duration(0), false
		for i, part := range s.parts {
			sum += part.duration
			wide = wide || part.duration == p.partTarget
			c.check(part.uri != "", "4.4.4.9", "a part of segment %d has no URI", s.msn)
			c.check(part.duration <= p.partTarget, "4.4.4.9", "part %d.%d lasts %v, part target duration %v", s.msn, i, part.duration, p.partTarget)
			last := i == len(s.parts)-1
			if last || part.independent || part.gap || s.parts[i+1].gap {
				continue
			}
			c.check(100*part.duration >= 85*p.partTarget, "4.4.4.9", "part %d.%d lasts %v, less than 85 %% of the part target duration %v", s.msn, i, part.duration, p.partTarget)
		}
		if s.uri != "" && len(s.parts) > 0 {
			// livego: a picture that is shown for longer than a part may last is listed as long as
			// it may.
			drift := sum - s.duration
			same := drift.Abs() <= time.Duration(len(s.parts)+1)*time.Millisecond || wide && drift < 0
			c.check(same, "4.4.4.9", "segment %d lasts %v, its parts %v", s.msn, s.duration, sum)
		}
	}
	c.oldParts(p)
}

// oldParts checks that parts are listed at the live edge only (RFC 8216bis 6.2.2). One target
// duration more is allowed.
func (c *Checker) oldParts(p *playlist) {
	after := time.Duration(0)
	list := p.all()
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		c.check(len(s.parts) == 0 || after <= 4*time.Duration(p.target)*time.Second, "6.2.2", "segment %d still has parts %v before the end", s.msn, after)
		after += s.length()
	}
}

// length is the duration, of an open segment that of its parts.
func (s *segment) length() time.Duration {
	if s.uri != "" {
		return s.duration
	}
	sum := time.Duration(0)
	for _, p := range s.parts {
		sum += p.duration
	}
	return sum
}

// hints checks the form of preload hints and rendition reports.
func (c *Checker) hints(p *playlist) {
	types := map[string]int{}
	for _, h := range p.hints {
		types[h["TYPE"]]++
		c.check(h["URI"] != "" && (h["TYPE"] == "PART" || h["TYPE"] == "MAP"), "4.4.5.3", "bad hint: %v", h)
		c.check(types[h["TYPE"]] == 1, "6.2.6", "two hints of type %s", h["TYPE"])
	}
	c.check(types["PART"] == 1 || !p.lowLatency() || p.ended(), "B.1", "no hint of the next part")
	c.check(len(p.hints) == 0 || !p.ended(), "4.4.5.3", "an ended playlist hints at more")
	for _, r := range p.reports {
		c.check(r["URI"] != "" && r["LAST-MSN"] != "", "4.4.5.4", "bad report: %v", r)
		c.check(!strings.Contains(r["URI"], "://"), "4.4.5.4", "the report's URI is not relative: %s", r["URI"])
	}
}

// multivariant checks the multivariant playlist (RFC 8216bis 4.4.6).
func (c *Checker) multivariant(name string) {
	c.cached("max-age=1")
	m, err := parseMultivariant(string(c.now.Body))
	if err != nil {
		c.report("4", "multivariant playlist: %v", err)
		return
	}
	c.ladder, c.ladderDir = m, name
	groups, names := map[string]bool{}, map[string]bool{}
	for _, a := range m.media {
		key := a["TYPE"] + " " + a["GROUP-ID"]
		c.check(a["TYPE"] != "" && a["GROUP-ID"] != "" && a["NAME"] != "", "4.4.6.1", "media without TYPE, GROUP-ID or NAME: %v", a)
		c.check(!names[key+" "+a["NAME"]], "4.4.6.1.1", "two members of a group are called %s", a["NAME"])
		c.check(a["TYPE"] != "CLOSED-CAPTIONS" || a["INSTREAM-ID"] != "" && a["URI"] == "", "4.4.6.1", "bad captions: %v", a)
		c.check(!strings.HasPrefix(a["INSTREAM-ID"], "SERVICE") || m.version >= 7, "8", "version %d has %s", m.version, a["INSTREAM-ID"])
		groups[key], names[key+" "+a["NAME"]] = true, true
	}
	c.check(len(m.variants) > 0, "4.4.6.2", "no variant")
	none := 0
	for _, v := range m.variants {
		c.check(v["BANDWIDTH"] != "", "4.4.6.2", "variant without BANDWIDTH: %v", v)
		c.check(v["CODECS"] != "", "4.4.6.2", "variant without CODECS: %v", v)
		c.check(v[""] != "", "4.4.6.2", "variant without a URI: %v", v)
		c.check(v["AUDIO"] == "" || groups["AUDIO "+v["AUDIO"]], "4.4.6.2", "no audio group %s", v["AUDIO"])
		captions := v["CLOSED-CAPTIONS"]
		if captions == "NONE" {
			none++
		}
		c.check(captions == "" || captions == "NONE" || groups["CLOSED-CAPTIONS "+captions], "4.4.6.2", "no group of captions %s", captions)
	}
	c.check(none == 0 || none == len(m.variants), "4.4.6.2", "some variants have no captions, others may have")
	for _, f := range m.frame {
		c.check(f["BANDWIDTH"] != "" && f["URI"] != "" && f["CODECS"] != "", "4.4.6.3", "I-frame stream without BANDWIDTH, CODECS or URI: %v", f)
	}
}

// renditions returns the paths of all media playlists that the multivariant playlist names, without
// those of I-frames.
func (c *Checker) renditions() map[string]bool {
	list := map[string]bool{}
	if c.ladder == nil {
		return list
	}
	for _, v := range c.ladder.variants {
		list[resolve(c.ladderDir, v[""])] = true
	}
	for _, a := range c.ladder.media {
		if a["URI"] != "" {
			list[resolve(c.ladderDir, a["URI"])] = true
		}
	}
	return list
}

// cached checks how long a playlist may be kept, and its type.
func (c *Checker) cached(want string) {
	c.check(c.now.get("Cache-Control") == want, "livego", "the playlist is cached as %q, not %q", c.now.get("Cache-Control"), want)
	kind := c.now.get("Content-Type")
	c.check(kind == "application/vnd.apple.mpegurl" || kind == "audio/mpegurl", "4", "the playlist's type is %q", kind)
}
