{# Increments. A model reads the slices of builds after the one it last finished, by its own line in audit.applied: the line
   is written after the data, so a model killed in between repeats an idempotent replace and never misses a slice. #}

{% macro ledger() -%}
  `{{ target.database }}`.`{{ generate_schema_name('audit', none) }}`.`applied`
{%- endmacro %}

{% macro create_ledger() %}
  create table if not exists {{ ledger() }} (
    model string options (description = 'Name of the model.'),
    cut int64 options (description = 'The build up to which the model has applied every slice.'),
    applied_at timestamp options (description = 'When the model finished.'),
    invocation_id string options (description = 'The dbt invocation that wrote the line.')
  ) options (description = 'One row per model and finished build; written after the data.')
{% endmacro %}

{% macro applied() %}
  insert into {{ ledger() }} (model, cut, applied_at, invocation_id)
  select '{{ this.identifier }}', coalesce(max(build), 0), current_timestamp(), '{{ invocation_id }}' from {{ ref('slv_slices') }}
{% endmacro %}

{# The build up to which {{ this }} is right; 0 = never built, or its ledger line was lost: everything is done again. #}
{% macro applied_cut() %}
  {%- if not execute or not is_incremental() -%}{{ return(0) }}{%- endif -%}
  {%- set asked = run_query("select coalesce(max(cut), 0) from " ~ ledger() ~ " where model = '" ~ this.identifier ~ "'") -%}
  {{ return(asked.columns[0].values()[0] | int) }}
{% endmacro %}

{# The greatest build that may be read: the job's --vars, or whatever is registered now. Frozen once, by slv_slices. #}
{% macro build_to_read() %}
  {%- if var('build', none) is not none -%}{{ return(var('build') | int) }}{%- endif -%}
  {%- if not execute -%}{{ return(0) }}{%- endif -%}
  {%- set asked = run_query('select coalesce(max(build), 0) from ' ~ source('bronze', 'slices')) -%}
  {{ return((asked.columns[0].values() | list + [0])[0] | int) }}
{% endmacro %}

{# What a model has to read of bronze: {since, days, has_snapshot, redo} over the slices of one stream (or of all, stream = none).
   Bronze demands a literal filter on _date (a filter by join prunes nothing), hence the days as text. A day too many is
   harmless: the join on slv_slices decides which slices are read.
   redo: what stands must not count, everything is read again: never built, or a file that was applied is superseded since. #}
{% macro slices_to_read(stream, since=none) %}
  {%- if not execute -%}{{ return({'since': 0, 'days': [], 'has_snapshot': true, 'redo': true}) }}{%- endif -%}
  {%- set applied = applied_cut() if since is none else since -%}
  {%- set redo = applied == 0 or (stream is not none and is_superseded_since(stream, applied)) -%}
  {%- set since = 0 if redo else applied -%}
  {%- set asked = run_query(
      "select distinct cast(date(as_of) as string) as day, mode = 'snapshot' as is_snapshot from " ~ source('bronze', 'slices')
      ~ " where build > " ~ since ~ (" and stream = '" ~ stream ~ "'" if stream else '') ~ " order by day, is_snapshot") -%}
  {{ return({'since': since, 'days': asked.columns[0].values() | unique | list,
             'has_snapshot': true in asked.columns[1].values(), 'redo': redo}) }}
{% endmacro %}

{% macro is_superseded_since(stream, cut) %}
  {%- set asked = run_query(
      "select count(*) as pairs from " ~ ref('slv_superseded')
      ~ " where stream = '" ~ stream ~ "' and build <= " ~ cut ~ " and by_build > " ~ cut) -%}
  {{ return(asked.columns[0].values()[0] | int > 0) }}
{% endmacro %}

{# The days of bronze to read, as text, where a query (one DATE column d) tells them. #}
{% macro days_to_read(query) %}
  {%- if not execute -%}{{ return([]) }}{%- endif -%}
  {%- set asked = run_query('select distinct cast(d as string) as day from (' ~ query ~ ') where d is not null order by day') -%}
  {{ return(asked.columns[0].values() | list) }}
{% endmacro %}

{# `column in (date '…', …)` from a list of ISO days; an empty list is an impossible day, so the filter stays a literal one. #}
{% macro among_days(column, days) -%}
  {{ column }} in ({% for day in days %}date '{{ day }}'{{ ', ' if not loop.last }}{% else %}date '1970-01-01'{% endfor %})
{%- endmacro %}
