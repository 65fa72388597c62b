// File operations below a folder that fail when they are told to: a library for LD_PRELOAD.
//
// Each call of the C library that opens, writes, flushes, renames, links, maps, makes or removes something below the
// folder counts. The n-th one fails once, or from it on the disk is full, or the process is killed there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum Mode { OFF, COUNT, ONCE, FULL, KILL };
// What an operation needs on a disk that is full.
enum Needs { NOTHING, ROOM };

static char root[PATH_MAX];
static _Atomic int mode = OFF;
static _Atomic long counted, at;
static char failed[PATH_MAX + 64];

void faults_arm(const char *folder, int how, long number) {
    snprintf(root, sizeof root, "%s/", folder);
    counted = 0;
    at = number;
    failed[0] = 0;
    mode = how;
}
long faults_disarm(void) {
    mode = OFF;
    return counted;
}
const char *faults_failed(void) { return failed; }

// Whether this operation fails; errno says how.
static int fails(const char *operation, const char *path, enum Needs needs) {
    if (mode == OFF || strncmp(path, root, strlen(root))) return 0;
    const long number = ++counted;
    if (mode == COUNT || number < at) return 0;
    const int first = number == at;
    if (first) snprintf(failed, sizeof failed, "%s %s", operation, path + strlen(root));
    if (mode == KILL && first) raise(SIGKILL);
    if (mode == ONCE && first) return errno = EIO, 1;
    if (mode == FULL && needs == ROOM) return errno = ENOSPC, 1;
    return 0;
}

// The whole path of a name, seen from an open folder or the working directory.
static const char *whole(char *out, int folder, const char *name) {
    if (name[0] == '/') return name;
    char link[64];
    ssize_t length;
    if (folder == AT_FDCWD)
        length = getcwd(out, PATH_MAX) ? (ssize_t)strlen(out) : 0;
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, out, PATH_MAX - 1);
    }
    if (length < 0) length = 0;
    snprintf(out + length, PATH_MAX - length, "/%s", name);
    return out;
}
static int fails_at(const char *operation, int folder, const char *name, enum Needs needs) {
    char path[PATH_MAX];
    return mode != OFF && name && fails(operation, whole(path, folder, name), needs);
}
static int fails_of(const char *operation, int file, enum Needs needs) {
    if (mode == OFF || file < 0) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(operation, path, needs);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                                \
    int name(const char *path, int flags, ...) {                                  \
        va_list rest;                                                             \
        va_start(rest, flags);                                                    \
        const mode_t rights = va_arg(rest, mode_t);                               \
        va_end(rest);                                                             \
        if (fails_at("open", AT_FDCWD, path, flags & O_CREAT ? ROOM : NOTHING)) return -1; \
        return REAL(name)(path, flags, rights);                                   \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                              \
    int name(int folder, const char *path, int flags, ...) {                      \
        va_list rest;                                                             \
        va_start(rest, flags);                                                    \
        const mode_t rights = va_arg(rest, mode_t);                               \
        va_end(rest);                                                             \
        if (fails_at("open", folder, path, flags & O_CREAT ? ROOM : NOTHING)) return -1; \
        return REAL(name)(folder, path, flags, rights);                           \
    }
OPENAT(openat)
OPENAT(openat64)
#define FOPEN(name)                                                               \
    FILE *name(const char *path, const char *how) {                               \
        if (fails_at("open", AT_FDCWD, path, how[0] == 'r' ? NOTHING : ROOM)) return NULL; \
        return REAL(name)(path, how);                                             \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define OF_FILE(result, name, needs, parameters, arguments)  \
    result name parameters {                                  \
        if (fails_of(#name, file, needs)) return -1;          \
        return REAL(name) arguments;                          \
    }
OF_FILE(ssize_t, write, ROOM, (int file, const void *data, size_t size), (file, data, size))
OF_FILE(ssize_t, pwrite, ROOM, (int file, const void *data, size_t size, off_t to), (file, data, size, to))
OF_FILE(ssize_t, pwrite64, ROOM, (int file, const void *data, size_t size, off64_t to), (file, data, size, to))
OF_FILE(ssize_t, writev, ROOM, (int file, const struct iovec *parts, int count), (file, parts, count))
OF_FILE(int, fsync, NOTHING, (int file), (file))
OF_FILE(int, fdatasync, NOTHING, (int file), (file))
OF_FILE(int, ftruncate, ROOM, (int file, off_t size), (file, size))
OF_FILE(int, ftruncate64, ROOM, (int file, off64_t size), (file, size))
ssize_t sendfile(int file, int from, off_t *offset, size_t size) {
    if (fails_of("sendfile", file, ROOM)) return -1;
    return ((ssize_t(*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile"))(file, from, offset, size);
}
ssize_t sendfile64(int file, int from, off64_t *offset, size_t size) {
    if (fails_of("sendfile", file, ROOM)) return -1;
    return ((ssize_t(*)(int, int, off64_t *, size_t))dlsym(RTLD_NEXT, "sendfile64"))(file, from, offset, size);
}

#define OF_PATH(name, needs)                                              \
    int name(const char *path) {                                          \
        if (fails_at(#name, AT_FDCWD, path, needs)) return -1;            \
        return REAL(name)(path);                                          \
    }
OF_PATH(unlink, NOTHING)
OF_PATH(rmdir, NOTHING)
int unlinkat(int folder, const char *path, int flags) {
    if (fails_at("unlink", folder, path, NOTHING)) return -1;
    return REAL(unlinkat)(folder, path, flags);
}
int mkdir(const char *path, mode_t rights) {
    if (fails_at("mkdir", AT_FDCWD, path, ROOM)) return -1;
    return REAL(mkdir)(path, rights);
}
int mkdirat(int folder, const char *path, mode_t rights) {
    if (fails_at("mkdir", folder, path, ROOM)) return -1;
    return REAL(mkdirat)(folder, path, rights);
}
int rename(const char *from, const char *to) {
    if (fails_at("rename", AT_FDCWD, to, NOTHING)) return -1;
    return REAL(rename)(from, to);
}
int link(const char *from, const char *to) {
    if (fails_at("link", AT_FDCWD, to, ROOM)) return -1;
    return REAL(link)(from, to);
}
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    if (fails_at("link", to_folder, to, ROOM)) return -1;
    return REAL(linkat)(from_folder, from, to_folder, to, flags);
}
ssize_t copy_file_range(int from, off64_t *at_from, int file, off64_t *at_to, size_t size, unsigned flags) {
    if (fails_of("copy_file_range", file, ROOM)) return -1;
    return REAL(copy_file_range)(from, at_from, file, at_to, size, flags);
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    if (fails_at("rename", to_folder, to, NOTHING)) return -1;
    return REAL(renameat)(from_folder, from, to_folder, to);
}
void *mmap(void *where, size_t size, int rights, int flags, int file, off_t offset) {
    if (fails_of("mmap", file, NOTHING)) return MAP_FAILED;
    return REAL(mmap)(where, size, rights, flags, file, offset);
}
void *mmap64(void *where, size_t size, int rights, int flags, int file, off64_t offset) {
    if (fails_of("mmap", file, NOTHING)) return MAP_FAILED;
    return REAL(mmap64)(where, size, rights, flags, file, offset);
}
