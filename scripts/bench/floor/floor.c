/* floor.c is the least that a live-streaming server can do, as a measure for real ones: one thread that takes FLV streams by POST and
 * writes what arrives to each player with one plain write(2), when a picture ends or every so many milliseconds. It keeps no GOPs,
 * no statistics and no order among players; a player that does not take everything at once loses the rest and so its connection.
 *
 *   floor PORT [MILLISECONDS]
 *   POST /name        publishes the body, an FLV file without end
 *   GET /name[.flv]   plays it from the next key frame on
 *
 * It serves loopback only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MAX_FD = 65536, MAX_STREAMS = 1024, IN_SIZE = 1 << 20, OUT_SIZE = 4 << 20, HEAD_SIZE = 1 << 16, REQUEST_SIZE = 4096 };
enum { TAG_AUDIO = 8, TAG_VIDEO = 9, TAG_SCRIPT = 18, TAG_HEADER = 11, TAG_SIZE = 4, FILE_HEADER = 13 };

struct stream {
	char name[128];
	char *in;  size_t in_len;   /* received, not taken apart yet */
	char *out; size_t out_len;  /* whole tags for the players that have begun */
	char *head; size_t head_len; /* answer, file header, metadata and sequence headers */
	size_t key;                 /* where the last key frame of out begins, OUT_SIZE without one */
	int started;                /* the file header was read */
	int *players, *waiting;
	int n_players, n_waiting;
};

struct connection {
	struct stream *publishes;
	char *request; size_t len;
};

static struct stream streams[MAX_STREAMS];
static struct connection connections[MAX_FD];
static int n_streams, poller, batch_ms;

static void die(const char *what) { perror(what); exit(1); }

static struct stream *find(const char *name) {
	for (int i = 0; i < n_streams; i++)
		if (!strcmp(streams[i].name, name)) return &streams[i];
	if (n_streams == MAX_STREAMS) return NULL;
	struct stream *s = &streams[n_streams++];
	snprintf(s->name, sizeof s->name, "%s", name);
	s->in = malloc(IN_SIZE); s->out = malloc(OUT_SIZE); s->head = malloc(HEAD_SIZE);
	s->players = malloc(MAX_FD * sizeof(int)); s->waiting = malloc(MAX_FD * sizeof(int));
	const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\nFLV\1\5\0\0\0\11\0\0\0\0";
	s->head_len = sizeof answer - 1;
	memcpy(s->head, answer, s->head_len);
	s->key = OUT_SIZE;
	return s;
}

/* send_all writes to one player; what a player does not take ends it. */
static int send_all(int fd, const char *p, size_t n) {
	if (n == 0 || write(fd, p, n) == (ssize_t)n) return 1;
	close(fd);
	return 0;
}

static void deliver(struct stream *s) {
	int kept = 0;
	for (int i = 0; i < s->n_players; i++)
		if (send_all(s->players[i], s->out, s->out_len)) s->players[kept++] = s->players[i];
	s->n_players = kept;
	if (s->key < s->out_len) { /* players begin here */
		for (int i = 0; i < s->n_waiting; i++)
			if (send_all(s->waiting[i], s->head, s->head_len) && send_all(s->waiting[i], s->out + s->key, s->out_len - s->key))
				s->players[s->n_players++] = s->waiting[i];
		s->n_waiting = 0;
	}
	s->out_len = 0;
	s->key = OUT_SIZE;
}

/* tag takes one whole tag. */
static void tag(struct stream *s, const unsigned char *t, size_t n) {
	const unsigned char *body = t + TAG_HEADER;
	int picture = t[0] == TAG_VIDEO && body[1] == 1;
	if (t[0] == TAG_SCRIPT || body[1] == 0) {
		if (s->head_len + n <= HEAD_SIZE) memcpy(s->head + s->head_len, t, n), s->head_len += n;
		return;
	}
	if (s->out_len + n > OUT_SIZE) { fprintf(stderr, "floor: too much for one write\n"); exit(1); }
	if (picture && body[0] >> 4 == 1 && s->key == OUT_SIZE) s->key = s->out_len;
	memcpy(s->out + s->out_len, t, n);
	s->out_len += n;
	if (picture && !batch_ms) deliver(s);
}

/* parse takes apart what was received. */
static void parse(struct stream *s) {
	size_t at = 0;
	if (!s->started) {
		if (s->in_len < FILE_HEADER) return;
		at = FILE_HEADER, s->started = 1;
	}
	while (s->in_len - at >= TAG_HEADER) {
		const unsigned char *t = (unsigned char *)s->in + at;
		size_t n = TAG_HEADER + TAG_SIZE + ((size_t)t[1] << 16 | t[2] << 8 | t[3]);
		if (n > IN_SIZE || n < TAG_HEADER + TAG_SIZE + 2) { fprintf(stderr, "floor: bad tag\n"); exit(1); }
		if (s->in_len - at < n) break;
		tag(s, t, n);
		at += n;
	}
	memmove(s->in, s->in + at, s->in_len -= at);
}

static void drop(int fd) {
	free(connections[fd].request);
	memset(&connections[fd], 0, sizeof connections[fd]);
	close(fd);
}

/* request reads the request of a new connection, and makes it a publisher or a player. */
static void request(int fd) {
	struct connection *c = &connections[fd];
	if (!c->request) c->request = malloc(REQUEST_SIZE);
	ssize_t n = read(fd, c->request + c->len, REQUEST_SIZE - 1 - c->len);
	if (n <= 0) { drop(fd); return; }
	c->len += n;
	c->request[c->len] = 0;
	char *end = strstr(c->request, "\r\n\r\n"), method[8], name[128];
	if (!end) { if (c->len == REQUEST_SIZE - 1) drop(fd); return; }
	if (sscanf(c->request, "%7s /%127s", method, name) != 2) { drop(fd); return; }
	char *suffix = strstr(name, ".flv");
	if (suffix) *suffix = 0;
	struct stream *s = find(name);
	if (!s) { drop(fd); return; }
	if (!strcmp(method, "POST")) {
		size_t rest = c->len - (end + 4 - c->request);
		memcpy(s->in, end + 4, rest);
		s->in_len = rest, s->started = 0, c->publishes = s;
		parse(s);
	} else { /* nobody listens to what a player says */
		epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
		s->waiting[s->n_waiting++] = fd;
	}
	free(c->request);
	c->request = NULL, c->len = 0;
}

static void receive(int fd) {
	struct stream *s = connections[fd].publishes;
	if (!s) { request(fd); return; }
	ssize_t n = read(fd, s->in + s->in_len, IN_SIZE - s->in_len);
	if (n < 0 && errno == EAGAIN) return;
	if (n <= 0) { drop(fd); return; }
	s->in_len += n;
	parse(s);
}

static void watch(int fd) {
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}

static int listen_on(int port) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) die("listen");
	return fd;
}

int main(int argc, char **argv) {
	if (argc < 2) { fprintf(stderr, "usage: floor PORT [MILLISECONDS]\n"); return 2; }
	batch_ms = argc > 2 ? atoi(argv[2]) : 0;
	signal(SIGPIPE, SIG_IGN);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < MAX_FD ? files.rlim_max : MAX_FD;
	setrlimit(RLIMIT_NOFILE, &files);
	poller = epoll_create1(0);
	int listener = listen_on(atoi(argv[1])), timer = -1, one = 1;
	watch(listener);
	if (batch_ms) {
		struct timespec every = {batch_ms / 1000, batch_ms % 1000 * 1000000L};
		struct itimerspec t = {every, every};
		timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
		timerfd_settime(timer, 0, &t, NULL);
		watch(timer);
	}
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(poller, events, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				int c = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				if (c < 0) continue;
				if (c >= MAX_FD) { close(c); continue; }
				setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
				watch(c);
			} else if (fd == timer) {
				unsigned long long expired;
				if (read(timer, &expired, sizeof expired) > 0)
					for (int s = 0; s < n_streams; s++) deliver(&streams[s]);
			} else {
				receive(fd);
			}
		}
	}
}
