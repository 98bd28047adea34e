/* A WebSocket server of 1 thread that sends every frame back: wsecho PORT
 *
 * A request without Sec-WebSocket-Key is answered with 200 and 1 KiB, so that a proxy in front of
 * it can be asked whether it is ready; what is not HTTP, with 400, so that a client that tries TLS
 * first goes on. No extension is accepted. It forgets a connection that breaks a rule.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"

#define ROOM 4096
#define KEY_LENGTH 24
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define SMALL 1024
#define LARGEST (64 * 1024 * 1024)

/* `in` has `used` bytes; the answer to the first `taken` of them is on its way until `left` is 0. */
struct conn {
    int fd, watched, open, ending;
    unsigned char *in, *out;
    size_t used, room, taken, left;
};

static int queue;
static unsigned char ok[SMALL + 64];

static uint32_t left_turned(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static void sha1_block(uint32_t state[5], const unsigned char *data) {
    static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)data[4 * i] << 24 | data[4 * i + 1] << 16 | data[4 * i + 2] << 8
            | data[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = left_turned(w[i-3] ^ w[i-8] ^ w[i-14] ^ w[i-16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t choice = i < 20 ? (b & c) | (~b & d) : b ^ c ^ d;
        if (i >= 40 && i < 60) choice = (b & c) | (b & d) | (c & d);
        uint32_t sum = left_turned(a, 5) + choice + e + constants[i / 20] + w[i];
        e = d;
        d = c;
        c = left_turned(b, 30);
        b = a;
        a = sum;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

/* Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2): 60 bytes are two blocks of SHA-1. */
static void accept_of(const char *key, char to[29]) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t state[] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char data[128] = {0}, sum[21] = {0};
    memcpy(data, key, KEY_LENGTH);
    memcpy(data + KEY_LENGTH, GUID, strlen(GUID));
    data[60] = 0x80;
    data[126] = 60 * 8 >> 8;
    data[127] = 60 * 8 & 255;
    sha1_block(state, data);
    sha1_block(state, data + 64);
    for (int i = 0; i < 20; i++) sum[i] = state[i / 4] >> (24 - i % 4 * 8);
    for (int i = 0; i < 7; i++) {
        uint32_t three = sum[3 * i] << 16 | sum[3 * i + 1] << 8 | sum[3 * i + 2];
        for (int j = 0; j < 4; j++) to[4 * i + j] = letters[three >> (18 - 6 * j) & 63];
    }
    to[27] = '=';
    to[28] = 0;
}

static void watch(struct conn *c, int events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (c->watched != events)
        epoll_ctl(queue, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e);
    c->watched = events;
}

static void forget(struct conn *c) {
    close(c->fd);
    free(c->in);
    free(c);
}

static void make_room(struct conn *c, size_t room) {
    if (room <= c->room) return;
    c->in = realloc(c->in, room);
    c->room = room;
}

/* `taken` bytes of `in` are answered with `size` bytes at `out`. */
static void answer(struct conn *c, size_t taken, void *out, size_t size) {
    c->taken = taken;
    c->out = out;
    c->left = size;
}

/* Whether an answer is on its way; `ending` is set where there is none to give. */
static int answer_head(struct conn *c) {
    static char head[256];
    c->in[c->used] = 0;
    if (c->used && (c->in[0] < 'A' || c->in[0] > 'Z')) {
        static char no[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        answer(c, c->used, no, sizeof no - 1);
        return c->ending = 1;
    }
    char *text = (char *)c->in, *end = strstr(text, "\r\n\r\n"), *key, accepted[29];
    if (!end) {
        c->ending = c->used + 1 >= ROOM;
        return 0;
    }
    end[2] = 0;
    key = field(text, "sec-websocket-key:");
    end[2] = '\r';
    size_t taken = end + 4 - text;
    if (!key || end - key < KEY_LENGTH) {
        answer(c, taken, ok, strlen((char *)ok));
        return 1;
    }
    accept_of(key, accepted);
    c->open = 1;
    answer(c, taken, head, sprintf(head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
           "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accepted));
    return 1;
}

/* The same for a frame. The header without a mask is shorter, so it fits before the payload. */
static int answer_frame(struct conn *c) {
    struct frame frame;
    size_t header = read_header(c->in, c->used, &frame);
    if (!header) return 0;
    if (!frame.masked || frame.length > LARGEST) {
        c->ending = 1;
        return 0;
    }
    make_room(c, header + frame.length + 1);
    if (c->used < header + frame.length) return 0;
    unsigned char *payload = c->in + header;
    apply_mask(payload, frame.length, frame.mask);
    c->ending = frame.opcode == CLOSE;
    int silent = frame.opcode == PONG;
    if (frame.opcode == PING) frame.opcode = PONG;
    frame.masked = 0;
    unsigned char *to = payload - header_size(&frame);
    write_header(to, &frame);
    answer(c, header + frame.length, to, silent ? 0 : payload + frame.length - to);
    return 1;
}

/* Whether the connection goes on. */
static int write_more(struct conn *c) {
    while (c->left) {
        ssize_t n = send(c->fd, c->out, c->left, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return watch(c, EPOLLOUT), 1;
        if (n < 0) return 0;
        c->out += n;
        c->left -= n;
    }
    c->used -= c->taken;
    memmove(c->in, c->in + c->taken, c->used);
    c->taken = 0;
    return !c->ending;
}

static int answer_all(struct conn *c) {
    while (c->open ? answer_frame(c) : answer_head(c)) {
        if (!write_more(c)) return 0;
        if (c->left) return 1;
    }
    watch(c, EPOLLIN);
    return !c->ending;
}

static int read_more(struct conn *c) {
    ssize_t n = recv(c->fd, c->in + c->used, c->room - c->used - 1, 0);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    c->used += n;
    return answer_all(c);
}

static void welcome(int listener) {
    int fd = accept(listener, NULL, NULL), yes = 1;
    if (fd < 0) return;
    struct conn *c = calloc(1, sizeof *c);
    c->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    make_room(c, ROOM);
    watch(c, EPOLLIN);
}

static int listening(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096))
        fail("listen: ", strerror(errno));
    return fd;
}

int main(int argc, char **argv) {
    struct epoll_event events[64], first = {.events = EPOLLIN, .data.ptr = NULL};
    if (argc != 2) return 2;
    int listener = listening(atoi(argv[1]));
    signal(SIGPIPE, SIG_IGN);
    memset(ok + sprintf((char *)ok, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SMALL), 'x',
           SMALL);
    queue = epoll_create1(0);
    epoll_ctl(queue, EPOLL_CTL_ADD, listener, &first);
    for (;;) {
        int n = epoll_wait(queue, events, 64, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) { welcome(listener); continue; }
            if (events[i].events & EPOLLOUT && (!write_more(c) || (!c->left && !answer_all(c)))) {
                forget(c);
                continue;
            }
            if (events[i].events & ~EPOLLOUT && !c->left && !read_more(c)) forget(c);
            else if (events[i].events & (EPOLLHUP | EPOLLERR) && c->left) forget(c);
        }
    }
}
