/* A WebSocket client of 1 thread: wsload PORT HEADFILE CONNECTIONS SIZE
 *
 * Opens CONNECTIONS to 127.0.0.1:PORT, one after the other: the opening handshake with the head of
 * HEADFILE (whose key has to be KEY), one message of SIZE bytes and its echo. It prints "ready",
 * then obeys lines "MESSAGES SECONDS" on stdin: each connection sends its message again as soon as
 * the echo is there, until one of the limits is reached, and one line of JSON is printed. End of
 * file on stdin ends the program.
 *
 * Messages are binary, masked, one frame, and other ones on each connection. An echo of another
 * kind, length or content is counted as bad; a connection that ends, or no echo within 10 s, ends
 * the program. No extension is offered, and none is accepted. Pings are answered, while idle too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

#define BLOCK (256 * 1024)
#define HEAD (16 * 1024)
#define STUCK_SECONDS 10
/* The example of RFC 6455, 1.3. */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

struct conn {
    int fd, watched, waiting, good, in_message, in_payload;
    struct frame frame; /* that is arriving */
    uint64_t left;
    size_t header_used, control_used, seen, send_left, pong_length;
    unsigned char header[LONGEST_HEADER], control[LONGEST_CONTROL];
    unsigned char pong[6 + LONGEST_CONTROL], *payload, *sent;
};

static char block[BLOCK], request[HEAD];
static size_t request_length, size, sent_size;
static int port, queue;
static unsigned long long started, answered, bad, bytes, limit;
static double deadline;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(struct conn *c, int events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (c->watched == events) return;
    if (epoll_ctl(queue, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e))
        fail("epoll_ctl: ", strerror(errno));
    c->watched = events;
}

/* Whether all of `*left` bytes before `end` have been sent. */
static int send_rest(struct conn *c, const unsigned char *end, size_t *left) {
    while (*left) {
        ssize_t n = send(c->fd, end - *left, *left, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return 0;
        if (n < 0) fail("the connection broke: ", strerror(errno));
        *left -= n;
    }
    return 1;
}

static void write_more(struct conn *c) {
    int begun = c->send_left && c->send_left < sent_size;
    const unsigned char *end = c->sent + sent_size, *pong_end = c->pong + sizeof c->pong;
    int all = (!begun || send_rest(c, end, &c->send_left))
        && send_rest(c, pong_end, &c->pong_length) && send_rest(c, end, &c->send_left);
    watch(c, all ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static void next(struct conn *c) {
    if (started >= limit || now() >= deadline) return;
    started++;
    c->waiting = c->good = 1;
    c->seen = 0;
    c->send_left = sent_size;
    write_more(c);
}

/* A pong at the end of its room, so that what is left of it has a fixed end. */
static void answer_ping(struct conn *c) {
    struct frame pong = {1, PONG, 1, c->frame.length, {0}};
    if (c->pong_length) return; /* one pong may answer several pings: RFC 6455, 5.5.3 */
    c->pong_length = 6 + c->frame.length;
    unsigned char *to = c->pong + sizeof c->pong - c->pong_length;
    write_header(to, &pong);
    memcpy(to + 6, c->control, c->frame.length);
    write_more(c);
}

static void frame_ends(struct conn *c) {
    char code[24] = "no code";
    c->in_payload = c->header_used = 0;
    if (c->frame.opcode == CLOSE) {
        if (c->frame.length > 1) sprintf(code, "%d", c->control[0] << 8 | c->control[1]);
        fail("the connection was closed with ", code);
    }
    if (c->frame.opcode == PING) answer_ping(c);
    if (c->frame.opcode > 7) return;
    c->in_message = !c->frame.final;
    if (c->in_message) return;
    answered++;
    bytes += c->seen;
    if (!c->waiting || !c->good || c->seen != size) bad++;
    c->waiting = 0;
    next(c);
}

static void frame_begins(struct conn *c) {
    int wanted = c->in_message ? CONTINUATION : BINARY;
    c->in_payload = 1;
    c->left = c->frame.length;
    c->control_used = 0;
    if (c->frame.opcode > 7 && c->frame.length > LONGEST_CONTROL) fail("a long control frame", "");
    if (c->frame.masked) fail("a masked frame", "");
    if (c->frame.opcode < 8 && c->frame.opcode != wanted) c->good = 0;
}

static void take_payload(struct conn *c, const char *data, size_t n) {
    if (c->frame.opcode > 7) {
        memcpy(c->control + c->control_used, data, n);
        c->control_used += n;
        return;
    }
    if (c->seen + n > size || memcmp(c->payload + c->seen, data, n)) c->good = 0;
    c->seen += n;
}

static void take(struct conn *c, const char *data, size_t count) {
    while (count) {
        size_t n = 1;
        if (!c->in_payload) {
            c->header[c->header_used++] = *data;
            if (read_header(c->header, c->header_used, &c->frame)) frame_begins(c);
        } else {
            n = count < c->left ? count : c->left;
            take_payload(c, data, n);
            c->left -= n;
        }
        data += n;
        count -= n;
        if (c->in_payload && !c->left) frame_ends(c);
    }
}

static void read_more(struct conn *c) {
    ssize_t n = recv(c->fd, block, BLOCK, 0);
    if (n > 0) { take(c, block, n); return; }
    if (n < 0 && errno == EAGAIN) return;
    fail("the connection ended: ", n ? strerror(errno) : "without a close frame");
}

/* Whether stdin has something; waits for anything at all, or not longer than `ms`. */
static int turn(int ms) {
    struct epoll_event events[64];
    int n = epoll_wait(queue, events, 64, ms), commanded = 0;
    if (n <= 0) fail("no echo in 10 s", "");
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c == NULL) {
            if (events[i].events & EPOLLHUP && !(events[i].events & EPOLLIN)) exit(0);
            commanded = 1;
            continue;
        }
        if (events[i].events & EPOLLOUT) write_more(c);
        if (events[i].events & ~EPOLLOUT) read_more(c);
    }
    return commanded;
}

static void dial(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = STUCK_SECONDS};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to))
        fail("connect: ", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static void shake_hands(struct conn *c) {
    char head[HEAD], *end = NULL, *accepted;
    size_t used = 0;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) < 0) fail("send: ", strerror(errno));
    while (!end) {
        ssize_t n = recv(c->fd, head + used, HEAD - 1 - used, 0);
        if (n <= 0) fail("no answer to the handshake: ", n ? strerror(errno) : "closed");
        used += n;
        head[used] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    end[2] = 0;
    accepted = field(head, "sec-websocket-accept:");
    if (strncmp(head, "HTTP/1.1 101 ", 13)) fail("the handshake was answered with ", head);
    if (!accepted || strncmp(accepted, ACCEPT, strlen(ACCEPT))) fail("no Sec-WebSocket-Accept", "");
    if ((accepted = field(head, "sec-websocket-extensions:"))) fail("an extension: ", accepted);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLLIN);
    take(c, end + 4, head + used - end - 4);
}

static void make_message(struct conn *c, unsigned number) {
    struct frame frame = {1, BINARY, 1, size, {0x1b, 0xc4, 0x35, 0x7e}};
    size_t header = header_size(&frame);
    sent_size = header + size;
    c->payload = malloc(size);
    c->sent = malloc(sent_size);
    /* Printable: a proxy that writes messages to a log escapes the other bytes, at a price. */
    for (size_t i = 0; i < size; i++) {
        number = number * 1103515245 + 12345;
        c->payload[i] = 'A' + (number >> 16) % 26;
    }
    write_header(c->sent, &frame);
    memcpy(c->sent + header, c->payload, size);
    apply_mask(c->sent + header, size, frame.mask);
}

static void run(struct conn *conns, int count, unsigned long long messages, double seconds) {
    started = answered = bad = bytes = 0;
    limit = messages;
    deadline = now() + seconds;
    for (int i = 0; i < count; i++) next(&conns[i]);
    while (answered < started) turn(STUCK_SECONDS * 1000);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int count = atoi(argv[3]), file = open(argv[2], O_RDONLY);
    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    struct conn *conns = calloc(count, sizeof *conns);
    unsigned long long messages;
    double seconds;
    signal(SIGPIPE, SIG_IGN);
    request_length = file < 0 ? 0 : read(file, request, HEAD);
    port = atoi(argv[1]);
    size = atoi(argv[4]);
    queue = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        make_message(&conns[i], i + 1);
        dial(&conns[i]);
        shake_hands(&conns[i]);
        run(&conns[i], 1, 1, STUCK_SECONDS);
        if (bad) fail("the first echo is another message", "");
    }
    printf("ready\n");
    fflush(stdout);
    if (epoll_ctl(queue, EPOLL_CTL_ADD, 0, &commands)) fail("stdin: ", strerror(errno));
    for (;;) {
        while (!turn(-1)) continue;
        if (scanf("%llu %lf", &messages, &seconds) != 2) return 0;
        double begun = now();
        run(conns, count, messages, seconds);
        printf("{\"requests\": %llu, \"bad\": %llu, \"bytes\": %llu, \"reconnects\": 0, "
               "\"seconds\": %.6f}\n", answered, bad, bytes, now() - begun);
        fflush(stdout);
    }
}
