{# Silver of a stream of files: the newest version of each record, whatever the order in which files arrive.

   arrived  SQL of the new versions: account_id, the key, the columns, _marked_deleted, _slice_id, _file_at, _line, _version_at
   key      the record's key columns beside account_id
   columns  the other columns

   Newest = greatest (_version_at, _file_at, _slice_id, _line), where _version_at is the record's updated_at or else its file's
   time: one total order over all versions ("updated_at if both have one" would not be transitive). What stands competes with
   what arrives, so any order of arrival gives the same table. A list of the whole (mode snapshot) that leaves a record out,
   newer than every file that named it, marks it deleted; a list with rows set aside proves no absence.
   `_cut` is the build in which the content last changed: an export that repeats everything moves _slice_id, not _cut. #}
{% macro current_rows(stream, arrived, key, columns, slices) %}
{%- set id = ['account_id'] + key -%}
{%- set content = columns + ['_marked_deleted'] -%}
{%- set version = ['_slice_id', '_file_at', '_line', '_version_at'] %}
with arrived as (
  {{ arrived }}
),
candidates as (
  select
    {{ (id + content + version) | join(', ') }}, _file_at as _seen_at,
    cast(null as int64) as _had_cut, cast(null as string) as _had_hash
  from arrived
  {% if is_incremental() -%}
  union all
  select
    {{ (id + content + version) | join(', ') }}, _seen_at, _cut as _had_cut, _hash as _had_hash
  from {{ this }}
  {% if not slices.has_snapshot %}join (select distinct {{ id | join(', ') }} from arrived) using ({{ id | join(', ') }}){% endif %}
  {%- endif %}
),
newest as (
  select
    {{ (id + content + version) | join(', ') }},
    max(_seen_at) over (partition by {{ id | join(', ') }}) as _seen_at,
    max(_had_cut) over (partition by {{ id | join(', ') }}) as _had_cut,
    max(_had_hash) over (partition by {{ id | join(', ') }}) as _had_hash
  from candidates
  where true
  qualify row_number() over (
    partition by {{ id | join(', ') }} order by _version_at desc, _file_at desc, _slice_id desc, _line desc) = 1
),
gone as (
  select {% for column in id %}n.{{ column }}, {% endfor %}min(s.file_at) as deleted_at
  from newest as n
  join {{ ref('slv_slices') }} as s on s.account_id = n.account_id
  where s.stream = '{{ stream }}' and s.mode = 'snapshot' and s.file_at > n._seen_at and s.aside_count = 0
    and s.slice_id not in (select slice_id from {{ ref('slv_set_aside') }} where stream = '{{ stream }}' and slice_id is not null)
  group by {% for column in id %}n.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
),
hashed as (
  select
    {% for column in id + columns %}n.{{ column }}, {% endfor %}
    n._marked_deleted or g.deleted_at is not null as is_deleted, g.deleted_at,
    {% for column in version %}n.{{ column }}, {% endfor %}n._seen_at, n._marked_deleted, n._had_cut, n._had_hash,
    to_hex(md5(to_json_string(struct(
      {% for column in content %}n.{{ column }} as {{ column }}, {% endfor %}g.deleted_at as deleted_at)))) as _hash
  from newest as n
  left join gone as g on {% for column in id %}g.{{ column }} = n.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
)
select
  {{ (id + columns) | join(', ') }}, is_deleted, deleted_at,
  {{ version | join(', ') }}, _seen_at, _marked_deleted, _hash,
  if(_hash = _had_hash, _had_cut, (select coalesce(max(build), 0) from {{ ref('slv_slices') }})) as _cut
from hashed
{% endmacro %}

{# The `arrived` of a stream whose record is one row of a file. columns: {name: SQL expression over the typed fields}. #}
{% macro versions(stream, key, columns, slices) %}
  {%- set fields = crm_fields(stream) %}
  select
    _account_id as account_id,
    {% for name in key %}{{ columns.get(name, name) }} as {{ name }}, {% endfor %}
    {% for name, expression in columns.items() if name not in key %}{{ expression }} as {{ name }}, {% endfor %}
    {{ 'coalesce(is_deleted, false)' if 'is_deleted' in fields else 'false' }} as _marked_deleted,
    _slice_id, _file_at, _line, coalesce({{ 'updated_at' if 'updated_at' in fields else 'cast(null as timestamp)' }}, _file_at) as _version_at
  from ({{ typed_rows(stream, slices) }})
  where _bad_column is null
{% endmacro %}
