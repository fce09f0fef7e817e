{# Facts replace whole dates. dbt's own insert_overwrite replaces only dates that the new rows contain, so a date whose rows
   were all withdrawn would keep them for ever; here the model says which dates it replaces and those are replaced, the empty
   ones too. Dates computed at run time cannot reach config(partitions=…), therefore the model says them in a comment of its
   compiled SQL, which also shows in the artifacts. #}

{# query (one DATE column d) -> ['2026-01-01', …]; [] while parsing and on a full refresh. #}
{% macro dates_of(query) %}
  {%- if not execute or not is_incremental() -%}{{ return([]) }}{%- endif -%}
  {%- set asked = run_query('select distinct d from (' ~ query ~ ') where d is not null order by d') -%}
  {{ return(asked.columns[0].values() | map('string') | list) }}
{% endmacro %}

{# The filter that goes with it: literals, so that BigQuery prunes. Everything on a full refresh. #}
{% macro only(dates, column) -%}
  {%- if not is_incremental() -%}true
  {%- elif dates -%}{{ among_days(column, dates) }}
  {%- else -%}false
  {%- endif -%}
{%- endmacro %}

{# Dates whose exchange rate changed: a rate reaches the days it is carried forward to. #}
{% macro new_fx_dates() -%}
  select d from {{ ref('slv_crm__exchange_rates') }},
    unnest(generate_date_array(rate_date, date_add(rate_date, interval {{ var('fx_days') }} day))) as d
  where _cut > {{ applied_cut() }}
{%- endmacro %}

{# The seam: dbt dispatches this macro for every insert_overwrite. #}
{% macro bigquery__get_insert_overwrite_merge_sql(target, source, dest_columns, predicates, include_sql_header) %}
  {%- set said = modules.re.search('replace_dates: (\\[.*?\\])', model.compiled_code or '') -%}
  {%- if not said -%}
    {{ exceptions.raise_compiler_error(model.name ~ ' is insert_overwrite but does not say replace_dates') }}
  {%- endif -%}
  {%- set predicates = [only(fromjson(said.group(1)), 'DBT_INTERNAL_DEST.' ~ config.get('partition_by').field)] -%}
  {{ default__get_insert_overwrite_merge_sql(target, source, dest_columns, predicates, include_sql_header) }}
{% endmacro %}
