/* A keep-alive HTTP/1.1 client of 1 thread: load PORT HEADFILE ACTIVE IDLE UPLOAD
 *
 * Opens ACTIVE + IDLE connections to 127.0.0.1:PORT, sends one request on each of them, prints
 * "ready", then obeys lines "REQUESTS SECONDS" on stdin: the ACTIVE connections repeat the request
 * of HEADFILE (followed by UPLOAD zero bytes) until one of the limits is reached, and one line of
 * JSON is printed. With UPLOAD, or with ACTIVE = 1 and IDLE = 0, there is no first request, because
 * a transfer is not repeated for nothing. End of file on stdin ends the program.
 *
 * It reads Content-Length, chunked and close-delimited bodies, counts an answer that is not 2xx or
 * breaks off as bad, and opens a connection again when the server closed it.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (256 * 1024)
#define HEAD (16 * 1024)
#define STUCK_MS 60000
enum state { IDLE, IN_HEAD, IN_LENGTH, IN_CHUNK_SIZE, IN_CHUNK, IN_CHUNK_END, IN_TRAILER, IN_EOF };

struct conn {
    int fd, watched, closing, status;
    enum state state;
    size_t head_used, line;
    unsigned long long left, head_left, upload_left;
    char head[HEAD];
};

static char block[BLOCK], zeros[BLOCK], request[HEAD];
static size_t request_length;
static unsigned long long upload;
static int port, queue;
static struct conn *conns;
static unsigned long long started, answered, bad, bytes, reconnects, limit;
static double deadline;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    printf("{\"error\": \"%s: %s\"}\n", what, strerror(errno));
    exit(1);
}

static void watch(struct conn *c, int events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (c->watched == events) return;
    if (epoll_ctl(queue, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e)) fail("epoll_ctl");
    c->watched = events;
}

static void dial(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->watched = 0;
    c->state = IDLE;
    watch(c, EPOLLIN);
}

static void write_more(struct conn *c) {
    while (c->head_left || c->upload_left) {
        int in_head = c->head_left > 0;
        const char *from = in_head ? request + request_length - c->head_left : zeros;
        unsigned long long left = in_head ? c->head_left : c->upload_left;
        ssize_t n = send(c->fd, from, left < BLOCK ? left : BLOCK, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) { c->head_left = c->upload_left = 0; break; } /* the answer or EOF tells more */
        if (in_head) c->head_left -= n; else c->upload_left -= n;
    }
    watch(c, c->head_left || c->upload_left ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void begin(struct conn *c) {
    c->state = IN_HEAD;
    c->head_used = c->closing = c->status = 0;
    c->head_left = request_length;
    c->upload_left = upload;
    write_more(c);
}

static void next(struct conn *c) {
    if (started < limit && now() < deadline) { started++; begin(c); }
}

static void reopen(struct conn *c) {
    close(c->fd);
    if (++reconnects > 100000) fail("the server closes every connection");
    dial(c);
}

static void answer_ends(struct conn *c, int whole) {
    answered++;
    if (!whole || c->status < 200 || c->status > 299) bad++;
    if (c->closing || !whole || c->upload_left) reopen(c); else c->state = IDLE;
    next(c);
}

static char *field(char *head, const char *name) {
    char *line = head;
    size_t length = strlen(name);
    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (!strncasecmp(line, name, length)) return line + length + strspn(line + length, " ");
    }
    return NULL;
}

static void head_ends(struct conn *c) {
    char *length = field(c->head, "content-length:"), *coding = field(c->head, "transfer-encoding:");
    char *connection = field(c->head, "connection:");
    c->status = atoi(c->head + 9);
    if (c->status < 200) { c->head_used = 0; return; }
    c->closing = !strncmp(c->head, "HTTP/1.0", 8);
    if (connection && !strncasecmp(connection, "close", 5)) c->closing = 1;
    if (connection && !strncasecmp(connection, "keep-alive", 10)) c->closing = 0;
    c->left = length ? strtoull(length, NULL, 10) : 0;
    c->line = 0;
    if (coding && !strncasecmp(coding, "chunked", 7)) c->state = IN_CHUNK_SIZE;
    else if (!length && c->status != 204) { c->state = IN_EOF; c->closing = 1; }
    else if (c->left) c->state = IN_LENGTH;
    else answer_ends(c, 1);
}

static size_t take_head(struct conn *c, const char *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (c->head_used >= HEAD - 1) fail("head too long");
        c->head[c->head_used++] = data[i];
        if (c->head_used > 3 && !memcmp(c->head + c->head_used - 4, "\r\n\r\n", 4)) {
            c->head[c->head_used] = 0;
            head_ends(c);
            return i + 1;
        }
    }
    return size;
}

static size_t take_body(struct conn *c, size_t size) {
    size_t n = c->state == IN_EOF || size < c->left ? size : c->left;
    bytes += n;
    if (c->state != IN_EOF && !(c->left -= n)) {
        if (c->state == IN_LENGTH) answer_ends(c, 1); else c->state = IN_CHUNK_END;
    }
    return n;
}

/* One byte of a chunk size line, of the line end after a chunk, or of the trailer. */
static void take_line(struct conn *c, char byte) {
    if (c->state == IN_CHUNK_SIZE && isxdigit((unsigned char)byte) && c->line != (size_t)-1) {
        c->left = c->left * 16 + (isdigit((unsigned char)byte) ? byte - '0' : (byte | 32) - 'a' + 10);
        c->line++;
    } else if (byte != '\n') {
        if (c->state == IN_CHUNK_SIZE) c->line = (size_t)-1; /* an extension, or the CR */
        else if (byte != '\r') c->line++;
    } else if (c->state == IN_CHUNK_SIZE) {
        c->state = c->left ? IN_CHUNK : IN_TRAILER;
        c->line = 0;
    } else if (c->state == IN_CHUNK_END) {
        c->state = IN_CHUNK_SIZE;
        c->line = 0;
    } else if (c->line == 0) {
        answer_ends(c, 1);
    } else {
        c->line = 0;
    }
}

static void take(struct conn *c, const char *data, size_t size) {
    while (size && c->state != IDLE) {
        size_t n = 1;
        unsigned long long before = answered;
        if (c->state == IN_HEAD) n = take_head(c, data, size);
        else if (c->state == IN_LENGTH || c->state == IN_CHUNK || c->state == IN_EOF)
            n = take_body(c, size);
        else take_line(c, *data);
        data += n;
        size -= n;
        if (answered != before) return; /* a new request: nothing can follow yet */
    }
}

static void read_more(struct conn *c) {
    ssize_t n = recv(c->fd, block, BLOCK, 0);
    if (n > 0) { take(c, block, n); return; }
    if (n < 0 && errno == EAGAIN) return;
    if (c->state == IDLE) { reopen(c); return; }
    if (c->state == IN_HEAD && c->head_used == 0 && !upload) { reopen(c); begin(c); return; }
    answer_ends(c, c->state == IN_EOF && n == 0);
}

static void run(int active, unsigned long long requests, double seconds) {
    double begun = now();
    struct epoll_event events[64];
    started = answered = bad = bytes = reconnects = 0;
    limit = requests;
    deadline = begun + seconds;
    for (int i = 0; i < active; i++) next(&conns[i]);
    while (answered < started) {
        int n = epoll_wait(queue, events, 64, STUCK_MS);
        if (n <= 0) fail("no answer in 60 s");
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) write_more(c);
            if (events[i].events & ~EPOLLOUT) read_more(c);
        }
    }
    printf("{\"requests\": %llu, \"bad\": %llu, \"bytes\": %llu, \"reconnects\": %llu, "
           "\"seconds\": %.6f}\n", answered, bad, bytes, reconnects, now() - begun);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int active = atoi(argv[3]), total = active + atoi(argv[4]), file = open(argv[2], O_RDONLY);
    unsigned long long requests;
    double seconds;
    signal(SIGPIPE, SIG_IGN);
    request_length = file < 0 ? 0 : read(file, request, HEAD);
    port = atoi(argv[1]);
    upload = strtoull(argv[5], NULL, 10);
    queue = epoll_create1(0);
    conns = calloc(total, sizeof *conns);
    for (int i = 0; i < total; i++) {
        dial(&conns[i]);
        if (total == 1 || upload) continue;
        /* One at a time, each with an answer: a backlog is not what is measured here. */
        limit = 1;
        deadline = now() + 60;
        started = answered = 0;
        next(&conns[i]);
        while (!answered) {
            struct epoll_event e;
            if (epoll_wait(queue, &e, 1, STUCK_MS) <= 0) fail("no first answer in 60 s");
            read_more(e.data.ptr);
        }
    }
    printf("ready\n");
    fflush(stdout);
    while (scanf("%llu %lf", &requests, &seconds) == 2) run(active, requests, seconds);
    return 0;
}
