// The file operations of a process, one of which fails: for LD_PRELOAD, with tests/faults.py.
//
// Counted are the calls on paths below a folder, and on files that were opened below it. The one
// with the number that `faults_arm` was given, from 1, fails with its errno; a write with errno 0
// writes half of its bytes.

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <string>

namespace {

std::mutex mutex;
std::string folder;  // "" while nothing is counted
std::string operations;  // a line each: its kind and its path
int count, fatal, error, lasting;

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// Whether the operation fails; errno is set then.
bool fails(const char* operation, const std::string& path) {
  std::lock_guard<std::mutex> guard(mutex);
  if (folder.empty() || path.compare(0, folder.size(), folder) != 0) return false;
  const int number = ++count;
  operations += std::string(operation) + " " + path.substr(folder.size()) + "\n";
  if (number != fatal && !(lasting && error && fatal && number > fatal)) return false;
  errno = error;
  return true;
}

std::string at(int directory, const char* path) {
  if (path == nullptr) return "";
  if (path[0] == '/') return path;
  char place[PATH_MAX], link[64];
  if (directory == AT_FDCWD) {
    if (getcwd(place, sizeof place) == nullptr) return path;
    return std::string(place) + "/" + path;
  }
  snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
  const ssize_t length = readlink(link, place, sizeof place);
  return length < 0 ? path : std::string(place, length) + "/" + path;
}

std::string of(int file) {
  if (folder.empty()) return "";
  char place[PATH_MAX], link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, place, sizeof place);
  return length < 0 ? "" : std::string(place, length);
}

}  // namespace

extern "C" {

// From now on operations below `where` are counted from 1; number `number` fails, and with `more`
// all after it.
void faults_arm(const char* where, int number, int code, int more) {
  std::lock_guard<std::mutex> guard(mutex);
  folder = where, operations = "", count = 0, fatal = number, error = code, lasting = more;
}

// Count no longer; returns the operations, a line each.
const char* faults_disarm() {
  std::lock_guard<std::mutex> guard(mutex);
  folder = "";
  return operations.c_str();
}

#define OPEN(NAME, LIBC)                                              \
  int NAME(const char* path, int flags, ...) {                        \
    va_list rest;                                                     \
    va_start(rest, flags);                                            \
    const mode_t mode = va_arg(rest, mode_t);                         \
    va_end(rest);                                                     \
    if (fails("open", at(AT_FDCWD, path))) return -1;                 \
    return next<int (*)(const char*, int, ...)>(LIBC)(path, flags, mode); \
  }
OPEN(open, "open")
OPEN(open64, "open64")

#define OPENAT(NAME, LIBC)                                            \
  int NAME(int directory, const char* path, int flags, ...) {         \
    va_list rest;                                                     \
    va_start(rest, flags);                                            \
    const mode_t mode = va_arg(rest, mode_t);                         \
    va_end(rest);                                                     \
    if (fails("open", at(directory, path))) return -1;                \
    return next<int (*)(int, const char*, int, ...)>(LIBC)(directory, path, flags, mode); \
  }
OPENAT(openat, "openat")
OPENAT(openat64, "openat64")

DIR* opendir(const char* path) {
  if (fails("opendir", at(AT_FDCWD, path))) return nullptr;
  return next<DIR* (*)(const char*)>("opendir")(path);
}

ssize_t write(int file, const void* bytes, size_t size) {
  if (fails("write", of(file))) {
    if (errno != 0) return -1;
    size = (size + 1) / 2;
  }
  return next<ssize_t (*)(int, const void*, size_t)>("write")(file, bytes, size);
}

ssize_t read(int file, void* bytes, size_t size) {
  if (fails("read", of(file))) {
    if (errno != 0) return -1;
    size = (size + 1) / 2;
  }
  return next<ssize_t (*)(int, void*, size_t)>("read")(file, bytes, size);
}

int close(int file) {
  const bool failing = fails("close", of(file));
  const int code = errno;
  const int result = next<int (*)(int)>("close")(file);  // it is closed all the same
  if (failing && code != 0) {
    errno = code;
    return -1;
  }
  return result;
}

int flock(int file, int how) {
  if (how != LOCK_UN && fails("lock", of(file))) return -1;  // to unlock asks no disk
  return next<int (*)(int, int)>("flock")(file, how);
}

#define OF_PATH(OPERATION, NAME, TYPES, ARGUMENTS, PATH)                    \
  int NAME TYPES {                                                          \
    if (fails(OPERATION, PATH) && errno != 0) return -1;                    \
    return next<int(*) TYPES>(#NAME) ARGUMENTS;                             \
  }
OF_PATH("fsync", fsync, (int file), (file), of(file))
OF_PATH("truncate", ftruncate, (int file, off_t size), (file, size), of(file))
OF_PATH("truncate", ftruncate64, (int file, off64_t size), (file, size), of(file))
OF_PATH("mkdir", mkdir, (const char* path, mode_t mode), (path, mode), at(AT_FDCWD, path))
OF_PATH("rmdir", rmdir, (const char* path), (path), at(AT_FDCWD, path))
OF_PATH("unlink", unlink, (const char* path), (path), at(AT_FDCWD, path))
OF_PATH("unlink", unlinkat, (int directory, const char* path, int flags),
        (directory, path, flags), at(directory, path))
OF_PATH("rename", rename, (const char* from, const char* to), (from, to), at(AT_FDCWD, to))
OF_PATH("rename", renameat, (int from_at, const char* from, int to_at, const char* to),
        (from_at, from, to_at, to), at(to_at, to))
}
