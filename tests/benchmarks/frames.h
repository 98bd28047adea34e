/* WebSocket frames (RFC 6455, 5.2), for wsload.c and wsecho.c: headers, masks, and how both fail. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LONGEST_HEADER 14
#define LONGEST_CONTROL 125
enum opcode { CONTINUATION = 0, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct frame {
    int final, opcode, masked;
    uint64_t length;
    unsigned char mask[4];
};

/* One line for the program that started us, without a quote or a control character. */
static inline void fail(const char *what, const char *more) {
    printf("{\"error\": \"%s", what);
    for (; *more && *more != '\r' && *more != '\n'; more++)
        putchar(*more < ' ' || *more > '~' || *more == '"' || *more == '\\' ? '?' : *more);
    printf("\"}\n");
    exit(1);
}

/* The value of a field of an HTTP head, `name` with its colon; what follows it in the head, too. */
static inline char *field(char *head, const char *name) {
    char *line = head;
    size_t length = strlen(name);
    while ((line = strstr(line, "\r\n")) != NULL) {
        line += 2;
        if (!strncasecmp(line, name, length)) return line + length + strspn(line + length, " ");
    }
    return NULL;
}

/* Bytes of the header at `data`, or 0 if it is not whole yet. */
static inline size_t read_header(const unsigned char *data, size_t size, struct frame *frame) {
    if (size < 2) return 0;
    size_t length = data[1] & 127, more = length == 127 ? 8 : length == 126 ? 2 : 0;
    frame->final = data[0] >> 7;
    frame->opcode = data[0] & 15;
    frame->masked = data[1] >> 7;
    size_t total = 2 + more + (frame->masked ? 4 : 0);
    if (size < total) return 0;
    frame->length = more ? 0 : length;
    for (size_t i = 0; i < more; i++) frame->length = frame->length << 8 | data[2 + i];
    if (frame->masked) memcpy(frame->mask, data + 2 + more, 4);
    return total;
}

static inline size_t header_size(const struct frame *frame) {
    return 2 + (frame->length > 65535 ? 8 : frame->length > 125 ? 2 : 0) + (frame->masked ? 4 : 0);
}

static inline void write_header(unsigned char *to, const struct frame *frame) {
    int more = frame->length > 65535 ? 8 : frame->length > 125 ? 2 : 0;
    to[0] = frame->final << 7 | frame->opcode;
    to[1] = frame->masked << 7 | (more == 8 ? 127 : more ? 126 : (int)frame->length);
    for (int i = 0; i < more; i++) to[2 + i] = frame->length >> 8 * (more - 1 - i);
    if (frame->masked) memcpy(to + 2 + more, frame->mask, 4);
}

/* Eight bytes at a time: the client and the upstream are not what is measured. */
static inline void apply_mask(unsigned char *data, size_t size, const unsigned char mask[4]) {
    uint64_t both, word;
    size_t i = 0;
    memcpy(&both, mask, 4);
    memcpy((char *)&both + 4, mask, 4);
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= both;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++) data[i] ^= mask[i & 3];
}
