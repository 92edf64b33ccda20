/*
 * A disk that fails to sync, for one process: loaded by LD_PRELOAD before the C library.
 *
 * While the file $TOLLGATE_TEST_SYNC_FAILS exists, `fsync` and `fdatasync` fail with EIO for every descriptor whose path
 * begins with what stands in it. Every call below $TOLLGATE_TEST_SYNC_FOLDER is noted in $TOLLGATE_TEST_SYNC_LOG, a line
 * each: "ok" or "EIO", the call, the path, with blanks between.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int begins_with(const char *path, const char *prefix) {
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* What stands in the file at `name`; empty if there is none. */
static void read_file(const char *name, char *text, size_t size) {
    ssize_t length = -1;
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        length = read(file, text, size - 1);
        close(file);
    }
    text[length > 0 ? length : 0] = '\0';
}

static void note(const char *result, long call, const char *path) {
    char line[PATH_MAX + 32];
    const char *name = call == SYS_fsync ? "fsync" : "fdatasync";
    const char *log = getenv("TOLLGATE_TEST_SYNC_LOG");
    int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    int length = snprintf(line, sizeof line, "%s %s %s\n", result, name, path);
    if (file < 0 || write(file, line, (size_t)length) != length)
        abort();
    close(file);
}

static int sync_one(long call, int descriptor) {
    char link[64], path[PATH_MAX], prefix[PATH_MAX];
    const char *folder = getenv("TOLLGATE_TEST_SYNC_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    if (!folder || !begins_with(path, folder))
        return (int)syscall(call, descriptor);
    read_file(getenv("TOLLGATE_TEST_SYNC_FAILS"), prefix, sizeof prefix);
    if (prefix[0] != '\0' && begins_with(path, prefix)) {
        note("EIO", call, path);
        errno = EIO;
        return -1;
    }
    int result = (int)syscall(call, descriptor);
    int error = errno;
    note("ok", call, path);
    errno = error;
    return result;
}

int fsync(int descriptor) {
    return sync_one(SYS_fsync, descriptor);
}

int fdatasync(int descriptor) {
    return sync_one(SYS_fdatasync, descriptor);
}
