/*
 * The part of Node-API (version 3, which every Node since 10 has) and of libuv (1.x) that the add-on uses, declared here
 * so that building it takes a C compiler and nothing else. Both are stable binary interfaces. A test compiles these
 * declarations together with Node's own headers, where those are there, so a wrong one does not survive.
 */
#ifndef PIRQLAB_NODE_API_H
#define PIRQLAB_NODE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef SRC_NODE_API_H_ /* Node's own header came first: only the functions are declared again */

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_ref__ *napi_ref;
typedef struct napi_handle_scope__ *napi_handle_scope;
typedef struct napi_async_context__ *napi_async_context;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);
typedef void (*napi_finalize)(napi_env env, void *data, void *hint);
typedef unsigned napi_status; /* 0 is success */
typedef unsigned napi_typedarray_type;

struct uv_loop_s;

#endif

#define NAME_TO_END ((size_t)-1)

napi_status napi_create_function(napi_env env, const char *name, size_t length, napi_callback cb, void *data,
                                 napi_value *result);
napi_status napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);
napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv, napi_value *self,
                             void **data);
napi_status napi_get_global(napi_env env, napi_value *result);
napi_status napi_create_int32(napi_env env, int32_t value, napi_value *result);
napi_status napi_create_string_utf8(napi_env env, const char *text, size_t length, napi_value *result);
napi_status napi_get_value_int32(napi_env env, napi_value value, int32_t *result);
napi_status napi_get_value_string_utf8(napi_env env, napi_value value, char *buffer, size_t size, size_t *length);
napi_status napi_get_typedarray_info(napi_env env, napi_value value, napi_typedarray_type *type, size_t *length,
                                     void **data, napi_value *buffer, size_t *offset);
napi_status napi_throw_type_error(napi_env env, const char *code, const char *message);
napi_status napi_create_reference(napi_env env, napi_value value, uint32_t count, napi_ref *result);
napi_status napi_delete_reference(napi_env env, napi_ref ref);
napi_status napi_get_reference_value(napi_env env, napi_ref ref, napi_value *result);
napi_status napi_open_handle_scope(napi_env env, napi_handle_scope *result);
napi_status napi_close_handle_scope(napi_env env, napi_handle_scope scope);
napi_status napi_async_init(napi_env env, napi_value resource, napi_value name, napi_async_context *result);
napi_status napi_async_destroy(napi_env env, napi_async_context context);
napi_status napi_make_callback(napi_env env, napi_async_context context, napi_value receiver, napi_value function,
                               size_t argc, const napi_value *argv, napi_value *result);
napi_status napi_get_and_clear_last_exception(napi_env env, napi_value *result);
napi_status napi_fatal_exception(napi_env env, napi_value error);
napi_status napi_add_env_cleanup_hook(napi_env env, void (*hook)(void *), void *arg);
napi_status napi_remove_env_cleanup_hook(napi_env env, void (*hook)(void *), void *arg);
napi_status napi_get_uv_event_loop(napi_env env, struct uv_loop_s **loop);

#ifndef UV_H

/* Handles are blocks of uv_handle_size() bytes that only libuv looks into. */
typedef struct uv_handle_s uv_handle_t;
typedef struct uv_poll_s uv_poll_t;
typedef struct uv_loop_s uv_loop_t;
enum { UV_READABLE = 1, UV_WRITABLE = 2 };
enum { UV_POLL = 8 }; /* uv_handle_type */

size_t uv_handle_size(unsigned type);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_close(uv_handle_t *handle, void (*closed)(uv_handle_t *));
int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd);
int uv_poll_start(uv_poll_t *handle, int events, void (*cb)(uv_poll_t *, int status, int events));
int uv_poll_stop(uv_poll_t *handle);

#endif
#endif
