{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['account_id', 'ticket_id'],
    on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read('crm.support_tickets') -%}
{%- set columns = {
    'contact_id': 'contact_id',
    'requester_email_hash': email_hash('requester_email'),
    'order_id': 'order_id', 'product_id': 'product_id', 'channel': 'lower(channel)', 'group_name': 'group_name',
    'status': 'lower(status)', 'priority': 'lower(priority)', 'created_at': 'created_at',
    'created_date': "date(created_at, '" ~ var('reporting_time_zone') ~ "')",
    'first_response_at': 'first_response_at', 'resolved_at': 'resolved_at', 'closed_at': 'closed_at',
    'reply_count': 'reply_count', 'reopen_count': 'reopen_count', 'rating': 'rating', 'updated_at': 'updated_at'} %}
{{ current_rows('crm.support_tickets', versions('crm.support_tickets', ['ticket_id'], columns, slices), ['ticket_id'], columns | list, slices) }}
