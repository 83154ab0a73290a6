/* A plugin that lies in one way, chosen by the macro LIE when it is compiled; HONEST tells the truth. It has one device
 * and no compute. Its name is "liar" and its version "1.0", as the tests' manifests say. What it must not do is crash:
 * whatever goes wrong after loading one of these is the loader's doing. */
#include <stddef.h>
#include <string.h>

#include "deepseam/backend.h"

#define HONEST 0
#define ROOT_NULL 1
#define ROOT_SIZE_ZERO 2
#define ROOT_SIZE_HUGE 3
#define ROOT_NO_FUNCTIONS 4
#define NEGOTIATE_BEYOND 5
#define NEGOTIATE_UNWRITTEN 6
#define NEGOTIATE_REFUSES 7
#define TABLE_SIZE_ZERO 8
#define TABLE_SIZE_HUGE 9
#define TABLE_OVERRUN 10
#define TABLE_UNWRITTEN 11
#define TABLE_OTHER_ABI 12
#define TABLE_REFUSED 13
#define SLOTS_NULL 14
#define NAME_NULL 15
#define NAME_OTHER 16
#define NAME_ENDLESS 17
#define VERSION_OTHER 18
#define INSTANCE_FAILS 19
#define INSTANCE_BABBLES 20
#define INSTANCE_UNWRITTEN 21
#define COUNT_ABSURD 22
#define COUNT_UNWRITTEN 23
#define COUNT_FAILS 24
#define COUNT_NONE 25
#define INFO_UNWRITTEN 26
#define INFO_ENDLESS 27
#define INFO_SIZE_HUGE 28
#define NEWER_TABLE 29
#define OLDER_TABLE 30
#define HALF_SLOT 31

#ifndef LIE
#error "LIE says which lie this plugin tells"
#endif

struct dsb_instance {
  int unused;
};
static const dsb_instance kInstance = {0};

static ds_status DS_CALL instance_create(const dsb_host *host, dsb_instance **instance, ds_error *error) {
  if (!host || host->struct_size < sizeof *host || !host->allocate) return DS_E_ARGUMENT;
  switch (LIE) {
    case INSTANCE_FAILS:
      return DS_E_DEVICE;
    case INSTANCE_BABBLES: /* no status of ours, and texts without an end */
      if (error) {
        memset(error->message, 'x', sizeof error->message);
        memset(error->path, 'y', sizeof error->path);
        error->struct_size = 0xffffffffu;
      }
      return 12345;
    case INSTANCE_UNWRITTEN:
      return DS_OK;
    default:
      *instance = (dsb_instance *)&kInstance;
      return DS_OK;
  }
}

static void DS_CALL instance_destroy(dsb_instance *instance) { (void)instance; }

static ds_status DS_CALL quiesce(dsb_instance *instance, uint64_t timeout_ns, ds_error *error) {
  (void)timeout_ns;
  (void)error;
  return instance == &kInstance ? DS_OK : DS_E_HANDLE;
}

static ds_status DS_CALL device_count(dsb_instance *instance, uint32_t *count, ds_error *error) {
  if (instance != &kInstance) return DS_E_HANDLE;
  switch (LIE) {
    case COUNT_ABSURD:
      *count = 0x7fffffffu;
      return DS_OK;
    case COUNT_UNWRITTEN:
      return DS_OK;
    case COUNT_FAILS:
      if (error) strcpy(error->message, "the driver is too old");
      return DS_E_DEVICE;
    case COUNT_NONE:
      *count = 0;
      return DS_OK;
    default:
      *count = 1;
      return DS_OK;
  }
}

static ds_status DS_CALL device_info(dsb_instance *instance, uint32_t index, dsb_device_info *info, ds_error *error) {
  (void)error;
  if (instance != &kInstance || index != 0) return DS_E_ARGUMENT;
  if (LIE == INFO_UNWRITTEN) return DS_OK;
  info->kind = DSB_DEVICE_CPU;
  info->score = 7;
  strcpy(info->name, "truthful device");
  if (LIE == INFO_ENDLESS) {
    memset(info->name, 'n', sizeof info->name);
    memset(info->uuid, 'u', sizeof info->uuid);
    memset(info->arch, 'a', sizeof info->arch);
  }
  if (LIE == INFO_SIZE_HUGE) info->struct_size = 0xffffffffu;
  return DS_OK;
}

static ds_status DS_CALL negotiate(uint32_t least, uint32_t most, uint32_t *chosen, ds_error *error) {
  (void)least;
  if (LIE == NEGOTIATE_UNWRITTEN) return DS_OK;
  if (LIE == NEGOTIATE_REFUSES) {
    if (error) strcpy(error->message, "only version 99 is spoken here");
    return DS_E_ABI;
  }
  *chosen = LIE == NEGOTIATE_BEYOND ? most + 1 : DSB_ABI_VERSION;
  return DS_OK;
}

/* Slots that the host does not know yet lie behind those it knows. */
typedef struct newer_api {
  dsb_api known;
  ds_status(DS_CALL *invented_later)(dsb_instance *instance);
} newer_api;

static char endless[4096];

static ds_status DS_CALL get_api(uint32_t version, dsb_api *api, ds_error *error) {
  newer_api mine;
  uint32_t asked = api->struct_size, size = sizeof(dsb_api);
  (void)error;
  if (LIE == TABLE_UNWRITTEN) return DS_OK;
  if (LIE == TABLE_REFUSED) return DS_E_ABI;
  memset(&mine, 0, sizeof mine);
  mine.known.abi_version = LIE == TABLE_OTHER_ABI ? version + 1 : version;
  mine.known.name = LIE == NAME_OTHER ? "ref" : "liar";
  mine.known.version = LIE == VERSION_OTHER ? "2.0" : "1.0";
  if (LIE == NAME_NULL) mine.known.name = NULL;
  if (LIE == NAME_ENDLESS) {
    memset(endless, 'e', sizeof endless);
    mine.known.name = endless;
  }
  if (LIE != SLOTS_NULL) {
    mine.known.instance_create = instance_create;
    mine.known.instance_destroy = instance_destroy;
    mine.known.quiesce = quiesce;
    mine.known.device_count = device_count;
    mine.known.device_info = device_info;
  }
  if (LIE == NEWER_TABLE) size = sizeof mine < asked ? (uint32_t)sizeof mine : asked;
  if (LIE == OLDER_TABLE) size = offsetof(dsb_api, device_open);
  if (LIE == HALF_SLOT) size = offsetof(dsb_api, device_info) + 3;
  if (LIE == TABLE_OVERRUN) size = sizeof mine;
  mine.known.struct_size = LIE == TABLE_SIZE_ZERO ? 0 : LIE == TABLE_SIZE_HUGE ? 0xffffffffu : size;
  if (LIE == TABLE_OVERRUN) mine.known.struct_size = asked;
  memcpy(api, &mine, size);
  return DS_OK;
}

static const dsb_root kRoot = {
    LIE == ROOT_SIZE_ZERO   ? 0
    : LIE == ROOT_SIZE_HUGE ? 0xffffffffu
                            : (uint32_t)sizeof(dsb_root),
    1,
    LIE == ROOT_NO_FUNCTIONS ? NULL : negotiate,
    LIE == ROOT_NO_FUNCTIONS ? NULL : get_api,
};

#ifdef NO_SYMBOL
DS_BACKEND_EXPORT const dsb_root *DS_CALL some_other_name(void);
DS_BACKEND_EXPORT const dsb_root *DS_CALL some_other_name(void) { return &kRoot; }
#else
const dsb_root *DS_CALL ds_backend_main(void) { return LIE == ROOT_NULL ? NULL : &kRoot; }
#endif
