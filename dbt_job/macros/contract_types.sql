{# dbt's own macro warns at each plain `numeric` of a contract, every build: on BigQuery NUMERIC has a precision of its own
   (38 digits, 9 decimals), so there is nothing to warn of. Gold has no nested columns. #}
{% macro bigquery__get_empty_schema_sql(columns) %}
  select
  {% for column in columns.values() %}
    cast(null as {{ column['data_type'] }}) as {{ column['name'] }}{{ ', ' if not loop.last }}
  {%- endfor %}
{% endmacro %}
