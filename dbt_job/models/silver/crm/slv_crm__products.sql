{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['account_id', 'product_id'],
    on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read('crm.products') -%}
{%- set columns = {
    'product_name': 'product_name', 'category': 'category', 'price': 'price', 'currency': 'upper(currency)',
    'status': 'lower(status)', 'created_at': 'created_at', 'updated_at': 'updated_at'} %}
{{ current_rows('crm.products', versions('crm.products', ['product_id'], columns, slices), ['product_id'], columns | list, slices) }}
