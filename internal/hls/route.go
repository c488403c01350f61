package hls

import (
	"strconv"
	"strings"

	"livego/internal/hls/playlist"
)

// policyFile is what Flash players ask for.
const policyFile = "crossdomain.xml"

// resource is what a URL stands for.
type resource uint8

const (
	nothing resource = iota
	// mediaPlaylist and mediaSegment are those with MPEG-TS.
	mediaPlaylist
	mediaSegment
	crossDomainPolicy
	multivariantPlaylist
	// renditionPlaylist is the CMAF playlist of a rendition, framesPlaylist that of its I-frames.
	renditionPlaylist
	framesPlaylist
	cmafSegmentFile
	cmafPartFile
	cmafInitFile
)

// target is a URL taken apart.
type target struct {
	kind resource
	// name is the stream, "app/stream".
	name string
	// id is the rendition.
	id   string
	seq  int64
	part int
}

// route reads a URL's path. Of the stream /{app}/{stream}, which may contain slashes, there are
//
//	.m3u8 and /{seq}.ts                 the playlist with MPEG-TS segments
//	/index.m3u8                         the multivariant playlist with CMAF segments
//	/index-{id}.m3u8                    the media playlist of the rendition id, and
//	/index-{id}.iframes.m3u8            of its I-frames
//	/{id}/{seq}.m4s, /{seq}.{part}.m4s  its segments and their parts, which count from 0
//	/{id}/{seq}.mp4                     its initialization sections
//
// and anything/crossdomain.xml is the policy for Flash players.
func route(path string) target {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return target{}
	}
	dir, file := splitLast(path)
	switch {
	case file == policyFile:
		return target{kind: crossDomainPolicy}
	case strings.HasSuffix(file, playlist.PlaylistSuffix):
		return routePlaylist(dir, strings.TrimSuffix(file, playlist.PlaylistSuffix))
	case strings.HasSuffix(file, playlist.SegmentSuffix):
		seq, ok := number(strings.TrimSuffix(file, playlist.SegmentSuffix))
		return target{kind: mediaSegment, name: dir, seq: seq}.validIf(ok)
	}
	return routeMedia(dir, file)
}

// routePlaylist reads the path of a playlist without its suffix.
func routePlaylist(dir, file string) target {
	if file == playlist.IndexName {
		return target{kind: multivariantPlaylist, name: dir}.valid()
	}
	id, ok := strings.CutPrefix(file, playlist.IndexPrefix)
	if !ok {
		return target{kind: mediaPlaylist, name: dir + "/" + file}.validIf(file != "")
	}
	if id, ok := strings.CutSuffix(id, playlist.FramesSuffix); ok {
		return target{kind: framesPlaylist, name: dir, id: id}.validIf(id != "")
	}
	return target{kind: renditionPlaylist, name: dir, id: id}.validIf(id != "")
}

// routeMedia reads the path of a file of a rendition.
func routeMedia(dir, file string) target {
	t := target{}
	t.name, t.id = splitLast(dir)
	digits, ok := strings.CutSuffix(file, playlist.InitSuffix)
	if ok {
		t.kind = cmafInitFile
		t.seq, ok = number(digits)
		return t.validIf(ok && t.id != "")
	}
	if digits, ok = strings.CutSuffix(file, playlist.PartSuffix); !ok {
		return target{}
	}
	t.kind = cmafSegmentFile
	digits, index, isPart := strings.Cut(digits, ".")
	if isPart {
		t.kind = cmafPartFile
		part, valid := number(index)
		t.part, ok = int(part), valid && part <= playlist.MaxPartIndex
	}
	var valid bool
	t.seq, valid = number(digits)
	return t.validIf(ok && valid && t.id != "")
}

// splitLast splits a path at its last slash.
func splitLast(path string) (dir, file string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// number reads digits as they are written: one name for a file, so that caches hold it once,
// without sign and leading zeros.
func number(digits string) (int64, bool) {
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == digits
}

// valid is t if its name has an app and a stream, else nothing.
func (t target) valid() target {
	app, stream, ok := strings.Cut(t.name, "/")
	if !ok || app == "" || stream == "" || strings.HasSuffix(stream, "/") {
		return target{}
	}
	return t
}

func (t target) validIf(ok bool) target {
	if !ok {
		return target{}
	}
	return t.valid()
}

// StreamName returns the stream ("app/stream") that a URL path of a Server is about, for checks
// before ServeHTTP; "" for none.
func StreamName(path string) string { return route(path).name }

// Canonical returns the query of a request for a path in one form for all queries that mean the
// same: its delivery directives, for a playlist that takes them, and nothing else. It fails where a
// Server answers 400.
func Canonical(path, query string) (string, error) {
	if kind := route(path).kind; kind != renditionPlaylist && kind != framesPlaylist {
		return "", nil
	}
	d, err := playlist.ParseDirectives(query)
	if err != nil || d.MSN < 0 && !d.Skip {
		return "", err
	}
	var b []byte
	if d.MSN >= 0 {
		b = strconv.AppendInt(append(b, "_HLS_msn="...), d.MSN, 10)
	}
	if d.Part >= 0 {
		b = strconv.AppendInt(append(b, "&_HLS_part="...), int64(d.Part), 10)
	}
	if d.Skip {
		b = append(b, "&_HLS_skip=YES"...)
	}
	return strings.TrimPrefix(string(b), "&"), nil
}
