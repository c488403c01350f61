package hls

// Header values that are the same in many answers. They are never changed: who adds a value to a
// header makes a new slice. To set them as they are, under their canonical names, costs no memory
// per request.
var (
	anyOrigin      = []string{"*"}
	noSniff        = []string{"nosniff"}
	exposedHeaders = []string{"Content-Length, Content-Range, ETag"}
	byteRanges     = []string{"bytes"}
	byEncoding     = []string{"Accept-Encoding"}
	inGzip         = []string{"gzip"}

	playlistType  = []string{"application/vnd.apple.mpegurl"}
	transportType = []string{"video/mp2t"}
	videoType     = []string{"video/mp4"}
	audioType     = []string{"audio/mp4"}

	keepForever = []string{cacheSegment}
	keepCurrent = []string{cacheCurrent}
	revalidate  = []string{cachePlaylist}
)
