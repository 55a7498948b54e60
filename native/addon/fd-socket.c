/*
 * UNIX sockets that carry file descriptors, and the wait for them on Node's event loop: what Node itself cannot do.
 * Every function takes and gives 32-bit numbers; a negative answer is -errno, as in the kernel. Nothing blocks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node-api.h"

/* SCM_MAX_FD of the kernel (include/net/scm.h): no message carries more */
#define MOST_FDS 253

#define MAX_ARGS 5

static napi_value number(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

static napi_value outcome(napi_env env, long value) { return number(env, value < 0 ? -errno : (int32_t)value); }

static napi_value misuse(napi_env env) {
  napi_throw_type_error(env, NULL, "pirqlab add-on: wrong argument");
  return NULL;
}

/* Fetches exactly `count` arguments. */
static bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *argv) {
  size_t given = MAX_ARGS;
  return napi_get_cb_info(env, info, &given, argv, NULL, NULL) == 0 && given >= count;
}

static bool int_of(napi_env env, napi_value value, int32_t *out) { return napi_get_value_int32(env, value, out) == 0; }

/* The elements of a typed array; `bytes_each` is what the caller believes of its type. */
static bool array_of(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length) {
  napi_typedarray_type is;
  return napi_get_typedarray_info(env, value, &is, length, data, NULL, NULL) == 0 && is == type;
}

enum { UINT8_ARRAY = 1, INT32_ARRAY = 5 }; /* napi_typedarray_type */

static bool address_of(napi_env env, napi_value path, struct sockaddr_un *address) {
  size_t length;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  return napi_get_value_string_utf8(env, path, address->sun_path, sizeof address->sun_path, &length) == 0;
}

/* listen(path): a socket file of its owner alone */
static napi_value listen_at(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS];
  struct sockaddr_un address;
  if (!arguments(env, info, 1, argv) || !address_of(env, argv[0], &address)) return misuse(env);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return outcome(env, -1);
  mode_t mask = umask(0177);
  int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
  int error = errno;
  umask(mask);
  errno = error;
  if (bound < 0 || listen(fd, 128) < 0) {
    error = errno;
    close(fd);
    return number(env, -error);
  }
  return number(env, fd);
}

/* connect(path) */
static napi_value connect_to(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS];
  struct sockaddr_un address;
  if (!arguments(env, info, 1, argv) || !address_of(env, argv[0], &address)) return misuse(env);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return outcome(env, -1);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    int error = errno;
    close(fd);
    return number(env, -error);
  }
  return number(env, fd);
}

/* accept(fd) */
static napi_value accept_from(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS];
  int32_t fd;
  if (!arguments(env, info, 1, argv) || !int_of(env, argv[0], &fd)) return misuse(env);
  return outcome(env, accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

/*
 * receive(fd, buffer, at, fds): bytes put into buffer from `at` on; 0 is the end of the stream. fds[0] becomes the
 * number of descriptors that came, fds[1] is 1 if some were lost (MSG_CTRUNC), the descriptors stand from fds[2] on.
 */
static napi_value receive(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS];
  int32_t fd, at, *fds;
  void *data, *list;
  size_t length, room;
  if (!arguments(env, info, 4, argv) || !int_of(env, argv[0], &fd) || !int_of(env, argv[2], &at) ||
      !array_of(env, argv[1], UINT8_ARRAY, &data, &length) || !array_of(env, argv[3], INT32_ARRAY, &list, &room) ||
      at < 0 || (size_t)at >= length || room < 2 + MOST_FDS)
    return misuse(env);
  fds = list;
  union {
    char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec part = {(char *)data + at, length - (size_t)at};
  struct msghdr message = {0};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  fds[0] = fds[1] = 0;
  ssize_t got;
  do got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0) return outcome(env, -1);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds + 2 + fds[0], CMSG_DATA(c), count * sizeof(int));
    fds[0] += (int32_t)count;
  }
  fds[1] = (message.msg_flags & MSG_CTRUNC) != 0;
  return number(env, (int32_t)got);
}

/* send(fd, buffer, from, to, fds): bytes taken; the descriptors in `fds` go with the first */
static napi_value send_on(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS];
  int32_t fd, from, to;
  void *data, *fds;
  size_t length, count;
  if (!arguments(env, info, 5, argv) || !int_of(env, argv[0], &fd) || !int_of(env, argv[2], &from) ||
      !int_of(env, argv[3], &to) || !array_of(env, argv[1], UINT8_ARRAY, &data, &length) ||
      !array_of(env, argv[4], INT32_ARRAY, &fds, &count) || from < 0 || to < from || (size_t)to > length ||
      count > MOST_FDS)
    return misuse(env);
  union {
    char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec part = {(char *)data + from, (size_t)(to - from)};
  struct msghdr message = {0};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
  }
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return outcome(env, sent);
}

/* eventfd(): a new one, count 0, not blocking */
static napi_value new_eventfd(napi_env env, napi_callback_info info) {
  (void)info;
  return outcome(env, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/* signal(fd): adds 1 to an eventfd, unless that would have to wait, as at a count of 2^64 - 2 */
static napi_value signal_eventfd(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS];
  int32_t fd;
  if (!arguments(env, info, 1, argv) || !int_of(env, argv[0], &fd)) return misuse(env);
  struct pollfd ready = {fd, POLLOUT, 0};
  if (poll(&ready, 1, 0) < 0) return outcome(env, -1);
  if (!(ready.revents & POLLOUT)) return number(env, -EAGAIN);
  const uint64_t one = 1;
  return outcome(env, write(fd, &one, sizeof one));
}

/* A descriptor that is waited for; a doubly linked list so that the end of the environment can close all. */
struct watch {
  int32_t id;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  uv_poll_t *handle;
  struct watch *next;
};

struct module {
  napi_env env;
  struct watch *watches;
  int32_t last_id;
};

static void report_exception(napi_env env) {
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == 0) napi_fatal_exception(env, error);
}

static void on_ready(uv_poll_t *handle, int status, int events) {
  struct watch *w = uv_handle_get_data((uv_handle_t *)handle);
  napi_env env = w->env;
  napi_handle_scope scope;
  napi_value callback, self, argv[1];
  if (napi_open_handle_scope(env, &scope) != 0) return;
  if (status < 0) events = UV_READABLE; /* the next call on the descriptor tells what is wrong */
  if (napi_get_reference_value(env, w->callback, &callback) == 0 && napi_get_global(env, &self) == 0 &&
      napi_create_int32(env, events, argv) == 0 &&
      napi_make_callback(env, w->context, self, callback, 1, argv, NULL) != 0)
    report_exception(env);
  napi_close_handle_scope(env, scope);
}

static void on_closed(uv_handle_t *handle) { free(handle); }

static void destroy(struct watch *w) {
  uv_poll_stop(w->handle);
  uv_close((uv_handle_t *)w->handle, on_closed);
  napi_delete_reference(w->env, w->callback);
  napi_async_destroy(w->env, w->context);
  free(w);
}

/* watch(fd, callback): calls back with what is ready (1 to read, 2 to write) once events are set; gives an id */
static napi_value watch(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS], name;
  void *data;
  int32_t fd;
  size_t given = MAX_ARGS;
  struct uv_loop_s *loop;
  if (napi_get_cb_info(env, info, &given, argv, NULL, &data) != 0 || given < 2 || !int_of(env, argv[0], &fd))
    return misuse(env);
  struct module *module = data;
  struct watch *w = calloc(1, sizeof *w);
  uv_poll_t *handle = calloc(1, uv_handle_size(UV_POLL));
  if (!w || !handle || napi_get_uv_event_loop(env, &loop) != 0) {
    free(w);
    free(handle);
    return number(env, -ENOMEM);
  }
  int error = uv_poll_init(loop, handle, fd);
  if (error < 0) {
    free(w);
    free(handle);
    return number(env, error);
  }
  w->env = env;
  w->handle = handle;
  w->id = ++module->last_id;
  uv_handle_set_data((uv_handle_t *)handle, w);
  napi_create_reference(env, argv[1], 1, &w->callback);
  napi_create_string_utf8(env, "pirqlab", NAME_TO_END, &name);
  napi_async_init(env, NULL, name, &w->context);
  w->next = module->watches;
  module->watches = w;
  return number(env, w->id);
}

/* setEvents(id, events): what to wait for, 0 for nothing; -1 ends the watch. To be called before its fd is closed. */
static napi_value set_events(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGS];
  void *data;
  int32_t id, events;
  size_t given = MAX_ARGS;
  if (napi_get_cb_info(env, info, &given, argv, NULL, &data) != 0 || given < 2 || !int_of(env, argv[0], &id) ||
      !int_of(env, argv[1], &events))
    return misuse(env);
  struct module *module = data;
  struct watch **at = &module->watches;
  while (*at && (*at)->id != id) at = &(*at)->next;
  struct watch *w = *at;
  if (!w) return number(env, -EBADF);
  if (events >= 0) return number(env, events ? uv_poll_start(w->handle, events, on_ready) : uv_poll_stop(w->handle));
  *at = w->next;
  destroy(w);
  return number(env, 0);
}

static void close_all(void *arg) {
  struct module *module = arg;
  while (module->watches) {
    struct watch *w = module->watches;
    module->watches = w->next;
    destroy(w);
  }
  free(module);
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback call;
  } functions[] = {
      {"listen", listen_at},       {"connect", connect_to},    {"accept", accept_from}, {"receive", receive},
      {"send", send_on},           {"eventfd", new_eventfd},   {"signal", signal_eventfd},
      {"watch", watch},            {"setEvents", set_events},
  };
  struct module *module = calloc(1, sizeof *module);
  if (!module) return exports;
  module->env = env;
  napi_add_env_cleanup_hook(env, close_all, module);
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAME_TO_END, functions[i].call, module, &function);
    napi_set_named_property(env, exports, functions[i].name, function);
  }
  return exports;
}

/* Which Node-API this was made for; without it Node assumes version 8, which has all of this too. */
__attribute__((visibility("default"))) int32_t node_api_module_get_api_version_v1(void) { return 8; }
